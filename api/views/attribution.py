"""Who is to blame for a trial's 3D, as `labsys show --why --json` gives it: px, mm, ms, degrees, percent."""

from __future__ import annotations

import math
from typing import Any

from labsys.core.units import degrees, millimetres
from pipelines.attributing.blame import Attribution, Blame, CameraFigures, LandmarkFigures, Normal
from pipelines.attributing.words import verdict_sentence


def attribution_document(attribution: Attribution, *, picture: str | None, normal: Normal) -> dict[str, Any]:
    """The attribution of one run.

    Args:
        picture: where its page was written, None where none was asked for. normal: what it was judged by.
    """
    return {
        "trial": str(attribution.trial),
        "run": attribution.run,
        "verdict": verdict_sentence(attribution),
        "to_blame": attribution.blames[0].cause.value if attribution.blames else None,
        "blames": [_blame_document(b) for b in attribution.blames],
        "unchecked": {cause.value: why for cause, why in attribution.unchecked.items()},
        "frames": attribution.n_frames_all,
        "frames_looked_at": attribution.n_frames,
        "cameras": {c.camera: _camera_document(c) for c in attribution.cameras},
        "landmarks": {k.landmark: _landmark_document(k) for k in attribution.landmarks},
        "normal": _normal_document(normal),
        "picture": picture,
    }


def _blame_document(blame: Blame) -> dict[str, Any]:
    return {
        "cause": blame.cause.value,
        "cameras": list(blame.cameras),
        "landmarks": list(blame.landmarks),
        "excess": _number(blame.excess),
        "found": blame.found,
        "normal": blame.normal,
        "remedy": blame.remedy,
    }


def _camera_document(camera: CameraFigures) -> dict[str, Any]:
    return {
        "found_pct": _number(100 * camera.seen),
        "far_off_pct": _number(100 * camera.wrong),
        "noise_px": _number(camera.noise_px),
        "noise_mm": _number(millimetres(camera.noise_m)),
        "constant_px": [_number(v) for v in camera.constant_px],
        "late_ms": None if camera.lag_s is None else _number(1000 * camera.lag_s),
        "late_sd_ms": None if camera.lag_sd_s is None else _number(1000 * camera.lag_sd_s),
        "sides_exchanged_pct": _number(100 * camera.exchanged),
        "elsewhere_pct": _number(100 * camera.elsewhere),
        "moved": camera.moved or None,
    }


def _landmark_document(landmark: LandmarkFigures) -> dict[str, Any]:
    return {
        "placed_pct": _number(100 * landmark.placed),
        "filled_pct": _number(100 * landmark.filled),
        "cameras": _number(landmark.n_cameras),
        "angle_deg": _number(degrees(landmark.angle_rad)),
        "far_off_pct": _number(100 * landmark.wrong),
        "noise_px": _number(landmark.noise_px),
        "noisiest_camera": landmark.worst_camera or None,
        "sd_mm": _number(millimetres(landmark.sd_m)),
        "limb": landmark.limb or None,
        "limb_sd_mm": _number(millimetres(landmark.limb_sd_m)),
    }


def _normal_document(normal: Normal) -> dict[str, float]:
    return {
        "noise_ratio": normal.noise_ratio,
        "noise_mm": millimetres(normal.noise_m),
        "trial_noise_mm": millimetres(normal.trial_noise_m),
        "far_off_pct": 100 * normal.wrong,
        "sides_exchanged_pct": 100 * normal.exchanged,
        "sides_left_exchanged_pct": 100 * normal.unrepaired,
        "elsewhere_pct": 100 * normal.elsewhere,
        "not_found_pct": 100 * normal.unseen,
        "late_ms": 1000 * normal.lag_s,
        "frames_lost_pct": 100 * normal.lost,
        "too_few_cameras_pct": 100 * normal.too_few,
        "angle_deg": round(degrees(normal.thin_angle_rad), 1),
        "thin_angle_pct": 100 * normal.thin,
        "limb_pct": 100 * normal.limb,
        "limb_mm": millimetres(normal.limb_m),
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return round(float(value), 4) if math.isfinite(value) else None
