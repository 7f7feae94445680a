"""What a run found out about its calibration, as `labsys show --json` gives it: degrees, mm, px."""

from __future__ import annotations

from typing import Any

from labsys.core.camera_audit import CameraMotion, DriftAudit
from labsys.core.units import degrees, millimetres


def drift_document(drift: DriftAudit | None) -> dict[str, Any] | None:
    """The check of a run's calibration; None where no cameras were used or an earlier version made the run."""
    if drift is None:
        return None
    return {
        "moved": list(drift.suspects),
        "others_moved": list(drift.others_moved),
        "since": drift.since or None,
        "frames": drift.n_frames,
        "landmark_bias_px": drift.bias_px,
        "unchecked": drift.unchecked or None,
        "cameras": {motion.camera: _motion_document(motion) for motion in drift.motions},
    }


def _motion_document(motion: CameraMotion) -> dict[str, Any]:
    return {
        "move": motion.move,
        "evidence": motion.gain,
        "turn_deg": degrees(motion.turn_rad),
        "turn_sd_deg": degrees(motion.turn_sd_rad),
        "shift_mm": millimetres(motion.shift_m),
        "shift_sd_mm": millimetres(motion.shift_sd_m),
        "image_px": motion.image_px,
    }
