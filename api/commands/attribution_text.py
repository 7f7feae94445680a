"""Who is to blame for a trial's 3D, as people read it in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from api.commands.text_table import format_number, format_table

if TYPE_CHECKING:
    from pipelines.attributing.blame import Attribution, Cause

_LANDMARKS = 8  # shown; all are in the JSON


def attribution_text(attribution: Attribution, document: Mapping[str, Any]) -> str:
    """One sentence, then what was found by cause, what to do, and figures by camera and by landmark."""
    looked = f"{document['frames_looked_at']} of {document['frames']} frames"
    parts = [
        f"{document['trial']}  run {document['run']}  ({looked} looked at)",
        document["verdict"],
        _cause_table(attribution),
    ]
    remedies = list(dict.fromkeys(f"  {b.cause}: {b.remedy}" for b in attribution.blames))
    if remedies:
        parts.append("\n".join(["what to do:", *remedies]))
    parts += [_camera_table(document["cameras"], document["normal"]), _landmark_table(attribution, document)]
    picture = document["picture"]
    command = f"labsys show {document['trial']} --why --picture why.html"
    parts.append(f"picture: {picture}" if picture else f"as a picture: {command}")
    return "\n\n".join(parts)


def _cause_table(attribution: Attribution) -> str:
    from pipelines.attributing.blame import Cause
    from pipelines.attributing.words import shorten

    rows: list[Sequence[object]] = []
    for cause in Cause:
        blames = attribution.of(cause)
        rows += [(cause, shorten(b.cameras), shorten(b.landmarks), b.found, b.normal) for b in blames]
        rows += _quiet_row(attribution, cause, blamed=bool(blames))
    return format_table(("cause", "camera", "landmark", "found", "normal"), rows)


def _quiet_row(attribution: Attribution, cause: Cause, *, blamed: bool) -> list[Sequence[object]]:
    if cause in attribution.unchecked:
        return [(cause, "", "", f"not checked: {attribution.unchecked[cause]}", "")]
    return [] if blamed else [(cause, "", "", "nothing stands out", "")]


def _camera_table(cameras: Mapping[str, Any], normal: Mapping[str, float]) -> str:
    headers = (
        "camera", "found %", "far off %", "wanders px", "mm", "lies off px", "late ms", "L/R exchanged %",
        "elsewhere %", "since calibration",
    )  # fmt: skip
    rows: list[Sequence[object]] = [
        (
            name,
            format_number(c["found_pct"], 0),
            format_number(c["far_off_pct"], 1),
            format_number(c["noise_px"], 1),
            format_number(c["noise_mm"], 0),
            _arrow(c["constant_px"]),
            "-" if c["late_ms"] is None else f"{c['late_ms']:+.1f} ± {c['late_sd_ms']:.1f}",
            format_number(c["sides_exchanged_pct"], 1),
            format_number(c["elsewhere_pct"], 1),
            c["moved"],
        )
        for name, c in cameras.items()
    ]
    rows.append(
        (
            "normal",
            f"≥ {100 - normal['not_found_pct']:.0f}",
            f"≤ {normal['far_off_pct']:.0f}",
            "",
            f"≤ {normal['trial_noise_mm']:.0f}",
            "",
            f"within {normal['late_ms']:g}",
            f"≤ {normal['sides_exchanged_pct']:g}",
            f"≤ {normal['elsewhere_pct']:g}",
            "",
        )
    )
    return format_table(headers, rows, right=headers[1:9])


def _arrow(constant_px: Sequence[float | None]) -> str:
    x, y = constant_px
    return "-" if x is None or y is None else f"{x:+.1f}, {y:+.1f}"


def _landmark_table(attribution: Attribution, document: Mapping[str, Any]) -> str:
    headers = (
        "landmark", "placed %", "filled %", "cameras", "angle °", "far off %", "wanders px", "most in", "SD mm",
        "limb", "varies mm",
    )  # fmt: skip
    blamed = {name for b in attribution.blames for name in b.landmarks}
    shown = sorted(
        document["landmarks"].items(),
        key=lambda entry: (entry[0] not in blamed, entry[1]["placed_pct"] or 0.0, -(entry[1]["sd_mm"] or 0.0)),
    )[:_LANDMARKS]
    rows: list[Sequence[object]] = [
        (
            name,
            format_number(k["placed_pct"], 0),
            format_number(k["filled_pct"], 0),
            format_number(k["cameras"], 1),
            format_number(k["angle_deg"], 0),
            format_number(k["far_off_pct"], 1),
            format_number(k["noise_px"], 1),
            k["noisiest_camera"],
            format_number(k["sd_mm"], 0),
            k["limb"],
            format_number(k["limb_sd_mm"], 0),
        )
        for name, k in shown
    ]
    table = format_table(headers, rows, right=(*headers[1:7], "SD mm", "varies mm"))
    more = len(document["landmarks"]) - len(rows)
    return table + (f"\n({more} more landmarks: --json)" if more else "")
