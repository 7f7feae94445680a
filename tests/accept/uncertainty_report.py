"""What many captures say together of stated intervals: the section of docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tests.accept.document import measured_at, write_section
from tests.accept.uncertainty import CAPTURE_S, RATE_HZ, RIGS, Held, share
from tests.accept.uncertainty_study import CALIBRATED, NOISES

_RANGES = ("hip_sagittal_rom", "pelvis_rot_rom", "pelvis_tilt_rom", "lumbar_ext_rom")
_AT_STRIKE = ("shank_angle_at_fs", "knee_flex_at_fs", "hip_ext_excursion_stance", "thigh_ext_excursion_stance")
_OF_EVENTS = ("contact_time", "flight_time", "duty_factor", "step_time", "stride_time", "cadence")
Case = tuple[str, bool]


def write_report(rows: Sequence[Held]) -> None:
    """The section of docs/accuracy.md."""
    write_section("uncertainty", report_lines(by_case(rows)))


def by_case(rows: Sequence[Held]) -> dict[Case, list[Held]]:
    """Captures by kind of noise, and whether the calibration has errors."""
    cases: dict[Case, list[Held]] = {}
    for row in rows:
        cases.setdefault((row.noise, row.calibrated), []).append(row)
    return cases


def pooled(rows: Sequence[Held]) -> Mapping[str, tuple[float, float]]:
    """Share of everything of one kind that was held, and its standard error."""
    groups = {
        "metrics": lambda m: m not in _RANGES + _AT_STRIKE + _OF_EVENTS,
        "metrics at foot strike": lambda m: m in _AT_STRIKE,
        "metrics of event times": lambda m: m in _OF_EVENTS,
        "ranges over the stride": lambda m: m in _RANGES,
    }
    runners = [r.runner for r in rows]
    out = {
        "3D points": share([float(np.nanmean(r.points)) for r in rows], runners),
        "angles": share([float(np.mean(list(r.angles.values()))) for r in rows], runners),
    }
    for title, wanted in groups.items():
        per_capture = [[inside for key, inside in r.metrics.items() if wanted(key.split(", ")[0])] for r in rows]
        some = [(float(np.mean(values)), number) for values, number in zip(per_capture, runners, strict=True) if values]
        out[title] = share(*zip(*some, strict=True))
    return out


def report_lines(held: Mapping[Case, Sequence[Held]]) -> list[str]:
    """The section of the document."""
    n = {case: len(rows) for case, rows in held.items()}
    lines = [
        "## Intervals",
        "",
        measured_at() + _part(n),
        "",
        "How often a 95 % interval held the truth. Every capture is seen by a rig of its own (4 to 8 cameras, "
        f"{min(r for _, r in RIGS):g} to {max(r for _, r in RIGS):g} m away), calibrated anew from a waved board with "
        "0.4 px corner noise and placed with 0.2° of error in up and heading, and has noise and a static of its own. "
        f"{len({r.runner for rows in held.values() for r in rows})} runners, captures of {CAPTURE_S:g} s at "
        f"{RATE_HZ:g} Hz, default configuration; one capture is 37 landmark-level trials. Points against their true "
        "places; angles against the same analysis of the true places; metrics (`ci95_strides` and `se_reconstruction` "
        "together) against the mean of the runner's whole two minutes. ± is the standard error, "
        "captures of one runner counted as erring alike.",
        "",
        "| quantity | noise | calibration error | captures | landmark-level trials | held |",
        "|---|---|---|---|---|---|",
    ]
    titles = list(pooled(next(iter(held.values()))))
    for title in titles:
        for (name, calibrated), rows in held.items():
            mean, se = pooled(rows)[title]
            lines.append(
                f"| {title} | {name} | {'yes' if calibrated else 'no'} | {n[name, calibrated]} | "
                f"{37 * n[name, calibrated]} | {100 * mean:.1f} ± {100 * se:.1f} % |"
            )
    return [*lines, "", *_explanation(), "", *_table_per_quantity(held)]


def _part(n_captures: Mapping[Case, int]) -> str:
    whole = len(CALIBRATED)
    if min(n for (_, calibrated), n in n_captures.items() if calibrated) == whole:
        return ""
    return f" A part of its {whole} captures per noise: the table says how many."


def _explanation() -> list[str]:
    return [
        "Events of one side come early or late alike in all strides of a runner, also in the next capture: what is "
        "read at foot strike is less independent between captures than ± says. Points under white noise are held more "
        "often than stated: a limb may err by 5 mm in all frames alike, as skin makes it; the limbs of synthetic "
        "runners do not, and the solve gains by that. The covariance of a frame's landmarks together is not carried: "
        "it was measured to be small, and where angles would see it (turns of pelvis and shoulders about the vertical "
        "under dlc_like, a factor of 1.16 to 1.30 of the variance) limbs explain only a part of it "
        "([0021](adr/0021-errors-known-from-few-views.md)).",
        "",
        "What all views get wrong alike, and where stickers sit, no camera can see: it is in no interval here.",
    ]


def _table_per_quantity(held: Mapping[Case, Sequence[Held]]) -> list[str]:
    lines = [
        "With calibration error. Angles: error and stated error, root mean square over all captures, degrees. Metrics: "
        "mean and spread of the error in units of the stated one (0 and 1 where all is right).",
        "",
        "| quantity | " + " | ".join(f"{n}: held | {n}: error | {n}: stated" for n in NOISES) + " |",
        "|---|" + "---|" * (3 * len(NOISES)),
    ]
    cases = [held[name, True] for name in NOISES]
    for key in cases[0][0].angles:
        cells = []
        for rows in cases:
            some = [r for r in rows if key in r.angles]
            rms = np.sqrt(np.mean(np.square([r.angle_rms_deg[key] for r in some]), axis=0))
            cells.append(f"{100 * np.mean([r.angles[key] for r in some]):.0f} % | {rms[0]:.2f} | {rms[1]:.2f}")
        lines.append("| `{}` {} | ".format(*key.split(", ")) + " | ".join(cells) + " |")
    lines += [
        "",
        "| metric | " + " | ".join(f"{n}: held | {n}: mean | {n}: spread" for n in NOISES) + " |",
        "|---|" + "---|" * (3 * len(NOISES)),
    ]
    for key in cases[0][0].metrics:
        cells = []
        for rows in cases:
            some = [r for r in rows if key in r.metrics]
            errors = [r.metric_errors[key] for r in some]
            inside = np.mean([r.metrics[key] for r in some])
            cells.append(f"{100 * inside:.0f} % | {np.mean(errors):+.1f} | {np.std(errors, ddof=1):.1f}")
        lines.append("| `{}` {} | ".format(*key.split(", ")) + " | ".join(cells) + " |")
    return lines
