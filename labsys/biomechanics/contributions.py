"""Which landmarks of a trial an angle or a metric rests on: those that segments and joint centres are made of there.

Follows the choices of `segments`, `trunk` and `com`. What holds for the whole trial (belt speed, leg length, pelvis
size, the static) has no landmarks here: single frames hardly move it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labsys.biomechanics.com import COM_ROLES
from labsys.biomechanics.metric_source import MetricSource
from labsys.biomechanics.metrics import RULES
from labsys.biomechanics.preparation import Prepared
from labsys.biomechanics.segments import PELVIS_ROLES, SIDES
from labsys.core.session import Surface
from labsys.core.skeleton import Side

Roles = frozenset[str]
_NONE: Roles = frozenset()
# Metrics that are times between events, which are found on the foot and the ankle.
_TIMES_OF_ONE_LEG = frozenset({"contact_time", "duty_factor", "stride_time", "cadence"})
_TIMES_OF_BOTH_LEGS = frozenset({"flight_time", "step_time"})
_PLACES_OF_BOTH_LEGS = frozenset({"step_length"})


@dataclass(frozen=True)
class Anatomy:
    """The landmarks that each part of the body is made of. roles: that are there; hip_source: of `Body`."""

    roles: Roles
    hip_source: str

    def _first(self, side: Side, *choices: tuple[str, ...]) -> Roles:
        """The first of these that is there whole."""
        named = (frozenset(f"{side.letter}{n}" for n in names) for names in choices)
        return next((c for c in named if c <= self.roles), _NONE)

    def _has_medial_knee(self, side: Side) -> bool:
        return bool(self._first(side, ("LFE", "MFE")))

    def pelvis(self, _: Side) -> Roles:
        """Of the pelvis frame."""
        return self._first(Side.BOTH, PELVIS_ROLES)

    def hip(self, side: Side) -> Roles:
        """Of a hip centre."""
        match self.hip_source:
            case "harrington":
                return self.pelvis(side)
            case "keypoint":
                return self._first(side, ("HIP",))
            case _:
                return self._first(Side.BOTH, ("RGT", "LGT"))

    def hips(self, _: Side) -> Roles:
        """Of both hip centres."""
        return self.hip(Side.RIGHT) | self.hip(Side.LEFT)

    def right_axis(self, side: Side) -> Roles:
        """Of the pelvis's right-left axis."""
        return self._first(Side.BOTH, ("RASIS", "LASIS")) if self.pelvis(side) else self.hips(side)

    def knee(self, side: Side) -> Roles:
        """Of a knee centre."""
        return self._first(side, ("LFE", "MFE"), ("KNEE",), ("LFE",))

    def ankle(self, side: Side) -> Roles:
        """Of an ankle centre."""
        return self._first(side, ("LM", "MM"), ("ANKLE",), ("LM",))

    def thigh_line(self, side: Side) -> Roles:
        """Of the line from knee to hip."""
        return self.hip(side) | self.knee(side)

    def thigh(self, side: Side) -> Roles:
        """Of a thigh frame."""
        return self.thigh_line(side) | (_NONE if self._has_medial_knee(side) else self.right_axis(side))

    def shank_line(self, side: Side) -> Roles:
        """Of the line from ankle to knee."""
        return self.knee(side) | self.ankle(side)

    def shank(self, side: Side) -> Roles:
        """Of a shank frame."""
        medial = self._has_medial_knee(side) and self._first(side, ("LM", "MM"))
        return self.shank_line(side) | (_NONE if medial else self.right_axis(side))

    def foot(self, side: Side) -> Roles:
        """Of a foot frame."""
        sole = self._first(side, ("HEEL",)) | self._first(side, ("MT1", "MT5"), ("TOE",))
        return sole | self.knee(side) | self.ankle(side)

    def heel(self, side: Side) -> Roles:
        """The heel."""
        return self._first(side, ("HEEL",))

    def toe(self, side: Side) -> Roles:
        """The toe."""
        return self._first(side, ("TOE",))

    def heel_and_toe(self, side: Side) -> Roles:
        """Both ends of a foot."""
        return self.heel(side) | self.toe(side)

    def forefoot(self, side: Side) -> Roles:
        """Of the point that stands in mid-stance."""
        return self._first(side, ("MT1", "MT5"), ("MT5",), ("TOE",), ("ANKLE",), ("LM",))

    def shoe(self, side: Side) -> Roles:
        """What events of a leg are found on."""
        return self.roles & {f"{side.letter}{n}" for n in ("HEEL", "MT5", "MT1", "TOE", "LM", "ANKLE")}

    def trunk_top(self, _: Side) -> Roles:
        """Of the upper end of the trunk line."""
        return self._first(Side.BOTH, ("C7",), ("NECK",), ("RAC", "LAC"))

    def shoulders(self, _: Side) -> Roles:
        """Of the line between the shoulders."""
        return self._first(Side.BOTH, ("RAC", "LAC"))

    def trunk_line(self, side: Side) -> Roles:
        """Of the whole trunk's line from the hips to its top."""
        top = self._first(Side.BOTH, ("C7", "IJ"), ("C7", "RAC", "LAC"))
        return (top or self.trunk_top(side)) | self.hips(side)

    def trunk(self, side: Side) -> Roles:
        """Of the frame of the whole trunk."""
        return self.trunk_line(side) | self.shoulders(side)

    def thorax_line(self, _: Side) -> Roles:
        """Of the thorax's long axis."""
        return self._first(Side.BOTH, *(("C7", "IJ", low, "XP") for low in ("T10", "T8")))

    def thorax(self, side: Side) -> Roles:
        """Of the thorax frame."""
        return self.thorax_line(side) | self.shoulders(side)

    def lumbar_line(self, _: Side) -> Roles:
        """Of the line from L5 to L1."""
        return self._first(Side.BOTH, ("L1", "L5"))

    def lordosis(self, side: Side) -> Roles:
        """Of the bend within the lumbar spine."""
        return self._first(Side.BOTH, ("L1", "L3", "L5")) | self.pelvis(side)

    def centre_of_mass(self, _: Side) -> Roles:
        """Of the whole body's centre of mass."""
        joints = (part(s) for s in SIDES for part in (self.hip, self.knee, self.ankle))
        return _NONE.union(*joints, self._first(Side.BOTH, COM_ROLES))


_Part = Callable[[Anatomy, Side], Roles]
# Flexion and abduction see the long axis of the distal segment, rotation all of its frame.
_PARTS_OF_ANGLES: Mapping[str, tuple[_Part, ...]] = {
    "hip_flexion": (Anatomy.pelvis, Anatomy.thigh_line),
    "hip_adduction": (Anatomy.pelvis, Anatomy.thigh_line),
    "hip_rotation": (Anatomy.pelvis, Anatomy.thigh),
    "hip_trunk_extension": (Anatomy.trunk, Anatomy.thigh_line),
    "knee_flexion": (Anatomy.thigh, Anatomy.shank_line),
    "ankle_dorsiflexion": (Anatomy.shank, Anatomy.foot),
    "lumbar_extension": (Anatomy.pelvis, Anatomy.thorax_line),
    "lumbar_bending": (Anatomy.pelvis, Anatomy.thorax_line),
    "lumbar_rotation": (Anatomy.pelvis, Anatomy.thorax),
    "trunk_pelvis_extension": (Anatomy.pelvis, Anatomy.trunk_line),
    "lumbar_segment_extension": (Anatomy.pelvis, Anatomy.lumbar_line),
    "lordosis_3pt": (Anatomy.lordosis,),
    "pelvis_tilt": (Anatomy.pelvis,),
    "pelvis_obliquity": (Anatomy.right_axis,),
    "pelvis_rotation": (Anatomy.right_axis,),
    "thigh_vertical": (Anatomy.thigh_line,),
    "shank_vertical": (Anatomy.shank_line,),
    "foot_pitch": (Anatomy.heel_and_toe,),
    "trunk_lean": (Anatomy.trunk_top, Anatomy.hips),
}
_PARTS_OF_PLACES: Mapping[str, _Part] = {
    "com": Anatomy.centre_of_mass,
    "pelvis": Anatomy.hips,
    "top": Anatomy.trunk_top,
    "HIP": Anatomy.hip,
    "ANKLE": Anatomy.ankle,
    "HEEL": Anatomy.heel,
    "TOE": Anatomy.toe,
    "FOOT": Anatomy.heel_and_toe,
}


@dataclass(frozen=True)
class Contributions:
    """What the angles and metrics of one gait trial rest on.

    Attributes:
        anatomy: of the trial. alike: of what trial and static both show, for angles that are change from the static.
        referenced: those angles. overground: the pelvis tells the speed, not the standing foot.
    """

    anatomy: Anatomy
    alike: Anatomy
    referenced: frozenset[tuple[str, Side]]
    overground: bool

    def angle_roles(self, angle_id: str, side: Side) -> Roles:
        """Landmarks of an angle; midline angles may be asked for with a side."""
        anatomy = self.alike if {(angle_id, side), (angle_id, Side.BOTH)} & self.referenced else self.anatomy
        return _NONE.union(*(part(anatomy, side) for part in _PARTS_OF_ANGLES[angle_id]))

    def metric_roles(self, metric_id: str, side: Side, read_over: Side) -> Roles:
        """Landmarks of a metric per stride. read_over: the side whose strides it is read over."""
        if metric_id in _TIMES_OF_ONE_LEG:
            return self.anatomy.shoe(read_over)
        if metric_id in _TIMES_OF_BOTH_LEGS:
            return self.anatomy.shoe(Side.RIGHT) | self.anatomy.shoe(Side.LEFT)
        if metric_id == "speed":
            return self.anatomy.hips(side) if self.overground else self.anatomy.forefoot(read_over)
        rule = RULES[metric_id]
        legs = SIDES if side is Side.BOTH or metric_id in _PLACES_OF_BOTH_LEGS else (side,)
        places = [_PARTS_OF_PLACES[n](self.anatomy, s) for n in rule.needs if n in _PARTS_OF_PLACES for s in legs]
        return _NONE.union(*places, *(self.angle_roles(a, side) for a in rule.angles))


def find_contributions(prepared: Prepared, source: MetricSource) -> Contributions:
    """Read off a trial what its angles and metrics rest on."""
    cutoff_hz = prepared.settings.proximal_cutoff_hz
    roles = frozenset(prepared.points.tracks)
    anatomy = alike = Anatomy(roles, prepared.body(cutoff_hz).hip_source)
    reference = prepared.reference(cutoff_hz)
    if reference is not None and prepared.static is not None:
        alike = Anatomy(roles & frozenset(prepared.static.tracks), reference.moving.hip_source)
    return Contributions(anatomy, alike, source.referenced, source.surface is Surface.OVERGROUND)
