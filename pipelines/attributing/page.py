"""An attribution as one HTML page: no script, no network, drawings as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.pages.embedding import embed_part
from calibration.pages.rendering import open_templates
from labsys.core.arrays import FloatArray
from labsys.storage.lab import Lab
from pipelines.attributing.blame import Attribution, Cause
from pipelines.attributing.evidence import TrialEvidence
from pipelines.attributing.frames import read_worst_frames
from pipelines.attributing.picture import Course, TrialPicture, WorstFrame, draw_trial
from pipelines.attributing.words import name_subject, verdict_sentence

_TEMPLATES = open_templates("pipelines", "attributing/templates")
_PICTURE_PX = 480
_LEAST_DARK_PX = 10.0
_WIDTH, _HEIGHT = 600.0, 60.0


@dataclass(frozen=True)
class _Cell:
    """One field of the map: text, colour, whether the text is light, whether a blame names it."""

    text: str
    colour: str
    light: bool
    named: bool


@dataclass(frozen=True)
class _Lines:
    """A course as SVG paths on a field of 600 by 60."""

    camera: str
    middle: str
    high: str


def make_page(lab: Lab, evidence: TrialEvidence, attribution: Attribution) -> str:
    """The page of one attribution, drawn over the video where the take has one (InputError: unreadable video)."""
    picture = draw_trial(evidence, attribution)
    frames = read_worst_frames(lab, evidence, picture.worst)
    return render_attribution(evidence, attribution, picture, frames=frames)


def render_attribution(
    evidence: TrialEvidence,
    attribution: Attribution,
    picture: TrialPicture,
    *,
    frames: Mapping[tuple[str, int], NDArray[np.uint8]],
) -> str:
    """The page of one attribution.

    Args:
        frames: (camera, frame) -> video picture of a worst frame; without one the landmarks are drawn alone.
    """
    known = picture.typical_px[np.isfinite(picture.typical_px)]
    dark = max(_LEAST_DARK_PX, float(np.percentile(known, 98.0)) if known.size else 0.0)
    top = _top_px(picture.courses)
    span = evidence.used.times_s[[0, -1]]
    return _TEMPLATES.get_template("attribution.html").render(
        attribution=attribution,
        causes=[(cause, attribution.of(cause), attribution.unchecked.get(cause, "")) for cause in Cause],
        verdict=verdict_sentence(attribution),
        subject=name_subject,
        cameras=evidence.used.cameras,
        rows=_map_rows(evidence, attribution, picture, dark),
        dark_px=dark,
        lines=[_lines(course, top, (float(span[0]), float(span[1]))) for course in picture.courses],
        top_px=top,
        span_s=(float(span[0]), float(span[1])),
        worst=[(view, _embed(frames, view)) for view in picture.worst],
        names=evidence.used.landmarks,
        bones=picture.bones,
        field=(_WIDTH, _HEIGHT),
        finite=lambda point: bool(np.isfinite(point).all()),
    )


def _map_rows(
    evidence: TrialEvidence, attribution: Attribution, picture: TrialPicture, dark_px: float
) -> list[tuple[str, list[_Cell]]]:
    rows = []
    for k, name in enumerate(evidence.used.landmarks):
        cells = []
        for c, camera in enumerate(evidence.used.cameras):
            px = float(picture.typical_px[k, c])
            named = any(
                (camera in b.cameras or not b.cameras) and (name in b.landmarks or not b.landmarks)
                for b in attribution.blames
            )
            if not np.isfinite(px):
                cells.append(_Cell("–", "#f3f5f7", light=False, named=named))
                continue
            share = min(px / dark_px, 1.0)
            cells.append(_Cell(f"{px:.1f}", f"hsl(212 70% {94 - 62 * share:.0f}%)", share > 0.55, named))
        rows.append((name, cells))
    return rows


def _top_px(courses: tuple[Course, ...]) -> float:
    """Upper end of the courses' scale: a round number above nearly all of them."""
    values = np.concatenate([c.high_px for c in courses])
    known = values[np.isfinite(values)]
    most = float(np.percentile(known, 99.0)) if known.size else 1.0
    return next(float(n) for n in (5, 10, 20, 50, 100, 200, 500, 1000, 10**6) if n >= most)


def _lines(course: Course, top_px: float, span_s: tuple[float, float]) -> _Lines:
    x = _WIDTH * (course.times_s - span_s[0]) / max(span_s[1] - span_s[0], 1e-9)
    return _Lines(course.camera, _path(x, course.middle_px, top_px), _path(x, course.high_px, top_px))


def _path(x: FloatArray, px: FloatArray, top_px: float) -> str:
    """An SVG path with gaps where nothing is known; what is beyond the scale runs along its upper end."""
    parts, pen = [], "M"
    for at, value in zip(x, px, strict=True):
        if not np.isfinite(value):
            pen = "M"
            continue
        parts.append(f"{pen}{at:.1f} {_HEIGHT * (1.0 - min(value / top_px, 1.0)):.1f}")
        pen = "L"
    return "".join(parts)


def _embed(frames: Mapping[tuple[str, int], NDArray[np.uint8]], view: WorstFrame) -> str:
    picture = frames.get((view.camera, view.frame))
    return "" if picture is None else embed_part(picture, view.box_px, largest_px=_PICTURE_PX)
