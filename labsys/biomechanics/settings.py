"""How a trial is analysed: every number that a lab may choose, with its default.

Defaults follow the biomechanics definitions (cut-offs, gap limits, discarded strides); all are chosen values, not
measured ones, and identical settings are needed before and after a programme.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from labsys.core.errors import InputError


@dataclass(frozen=True)
class AnalysisSettings:
    """Settings of one analysis.

    Attributes:
        filter_enabled: False analyses the landmarks as they are (no outlier removal, no low-pass); for tests of truth.
        proximal_cutoff_hz: low-pass for pelvis, spine, thorax and thigh, and every angle between them.
        distal_cutoff_hz: low-pass for knee, ankle and foot angles (both segments of the joint).
        event_cutoff_hz: low-pass for the signals that events are found in.
        strike_cutoff_hz: low-pass for angles read at foot strike, where joints change speed within a few frames.
        gap_proximal_s, gap_distal_s: longest gap that is filled, pelvis/trunk/thigh and shank/foot.
        gap_event_guard_s: no gap is filled this close to a foot strike or toe-off.
        hampel_frames, hampel_mads: outlier window (odd) and threshold.
        max_acceleration_pelvis_mps2, max_acceleration_foot_mps2: faster samples are not physical and become missing.
        cluster_residual_max_m: a rigid cluster fitted worse than this (rms) gives no frame.
        discard_first_strides, discard_last_strides: strides dropped at both ends, per side.
        max_interpolated_share: a stride with more filled-in samples on its landmarks does not count.
        min_strides: fewer valid strides per side give no metrics.
        min_strides_verdict: fewer valid strides per side mark metrics indicative.
        event_guard_rate_hz: below this rate contact and flight times are indicative.
        speed_tolerance: relative difference between declared and measured speed that is pointed out.
        heading_tolerance_rad: difference between calibrated and measured run direction that is pointed out.
    """

    filter_enabled: bool = True
    proximal_cutoff_hz: float = 8.0
    distal_cutoff_hz: float = 10.0
    event_cutoff_hz: float = 12.0
    strike_cutoff_hz: float = 20.0
    gap_proximal_s: float = 0.100
    gap_distal_s: float = 0.050
    gap_event_guard_s: float = 0.050
    hampel_frames: int = 7
    hampel_mads: float = 3.0
    max_acceleration_pelvis_mps2: float = 150.0
    max_acceleration_foot_mps2: float = 400.0
    cluster_residual_max_m: float = 0.008
    discard_first_strides: int = 5
    discard_last_strides: int = 2
    max_interpolated_share: float = 0.10
    min_strides: int = 3
    min_strides_verdict: int = 25
    event_guard_rate_hz: float = 99.0
    speed_tolerance: float = 0.03
    heading_tolerance_rad: float = 0.05235987755982988

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value >= 0:
                raise InputError(f"analysis setting {field.name} is negative or not a number: {value}")
        if self.hampel_frames % 2 == 0:
            raise InputError(f"analysis setting hampel_frames must be odd, not {self.hampel_frames}")
