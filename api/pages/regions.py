"""Where on the body a metric belongs: a page of forty rows is read region by region."""

from __future__ import annotations

from enum import StrEnum


class Region(StrEnum):
    """Parts of a page, in the order in which they stand."""

    HIP = "Hip and thigh"
    PELVIS = "Pelvis"
    TRUNK = "Low back and trunk"
    LEG = "Knee, ankle and foot"
    PLACEMENT = "Foot placement"
    VERTICAL = "Vertical motion"
    RHYTHM = "Rhythm and stride"


# Beginnings of metric ids; the longest that fits decides.
_BEGINNINGS: dict[Region, tuple[str, ...]] = {
    Region.HIP: ("hip_", "thigh_"),
    Region.PELVIS: ("pelvis_", "phci_"),
    Region.TRUNK: ("lumbar_", "lordosis_", "lhci_", "lean_", "trunk_", "body_lean_", "waist_"),
    Region.LEG: ("knee_", "shank_", "ankle_", "foot_"),
    Region.PLACEMENT: ("trailing_limb_", "foot_push_", "behind_body_", "ahead_", "front_back_", "step_width"),
    Region.VERTICAL: ("vertical_",),
    Region.RHYTHM: ("contact_", "flight_", "duty_", "step_", "stride_", "cadence", "speed"),
}


def find_region(metric_id: str) -> Region:
    """The region of a metric (LookupError where nobody decided)."""
    fitting = [(len(b), region) for region, bs in _BEGINNINGS.items() for b in bs if metric_id.startswith(b)]
    if not fitting:
        raise LookupError(f"no region in api/pages/regions.py for {metric_id}")
    return max(fitting, key=lambda pair: pair[0])[1]


# What a reader of a trial looks for first; the question that labsys was made for (docs/biomechanics.md).
HEADLINE = (
    "hip_ext_excursion_stance",
    "thigh_ext_vertical_peak",
    "pelvis_rot_rom",
    "lumbar_ext_at_peak_hip_ext",
    "trunk_lean_stance_mean",
    "vertical_oscillation",
    "cadence",
)
