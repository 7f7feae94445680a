"""Draws every angle of the catalogue on the synthetic skeleton: docs/figures/ID.svg.

`python docs/figures.py` writes them anew; a test fails when that would change anything, and when the angle drawn is not
the one that labsys computes of the same landmarks. Each picture shows one rotation in one plane, so that the projection
of the two lines is the angle itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from labsys.biomechanics.kinematics import joint_angles, reported
from labsys.biomechanics.preparation import prepare_points
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.arrays import FloatArray
from labsys.core.catalogue import ANGLES
from labsys.core.landmarks import Landmarks3D
from labsys.core.motion import JointAngles
from labsys.core.skeleton import LABSYS_RUN_37, Side
from pipelines.synthetic.anatomy import Body, make_body
from pipelines.synthetic.parameters import Anatomy
from pipelines.synthetic.posture import stand
from pipelines.synthetic.skeleton_pose import PoseAngles, joint_centres, place_landmarks, pose_segments

FIGURES = Path(__file__).parent / "figures"
_WIDTH_PX, _HEIGHT_PX = 220, 260
_FRAMES, _RATE_HZ = 20, 100.0
Points = Mapping[str, FloatArray]
Line = tuple[str, str]


@dataclass(frozen=True)
class View:
    """A plane as seen: LAB axes to the right and up on paper, and who looks."""

    right: int
    up: int
    name: str


SAGITTAL = View(0, 1, "from the right")
FRONTAL = View(2, 1, "from behind")
TRANSVERSE = View(2, 0, "from above")


@dataclass(frozen=True)
class Drawing:
    """How an angle is shown.

    Attributes:
        joint: what is turned, degrees: pelvis, lumbar or right leg, with the component. counter: joints that turn the
            other way, so that the rest of the body stays.
        moving: line that the angle is of. against: line of the segment that it is measured against, None for LAB.
        zero: direction on paper (right, up) of an absolute zero; None where zero is the standing posture.
        reach_m: half the height of what is shown.
        bent_deg: how far L1 is turned back about L3: the synthetic lumbar spine is one piece.
    """

    view: View
    joint: tuple[str, int, float]
    moving: Line
    against: Line | None = None
    zero: tuple[float, float] | None = None
    counter: tuple[tuple[str, int, float], ...] = ()
    reach_m: float = 0.55
    bent_deg: float = 0.0


_PELVIS, _PELVIS_ACROSS = ("PSIS", "ASIS"), ("LASIS", "RASIS")
_THIGH, _SHANK, _SOLE = ("RHJC", "RKJC"), ("RKJC", "RAJC"), ("RHEEL", "RTOE")
_THORAX, _TRUNK = ("LOW", "HIGH"), ("HIPS", "HIGH")
_DOWN, _UP, _RIGHT = (0.0, -1.0), (0.0, 1.0), (1.0, 0.0)

DRAWINGS: Mapping[str, Drawing] = {
    "pelvis_tilt": Drawing(
        SAGITTAL, ("pelvis", 0, -18), _PELVIS,
        counter=(("leg", 0, 18), ("left leg", 0, 18), ("lumbar", 0, 18)), reach_m=0.35,
    ),
    "pelvis_obliquity": Drawing(
        FRONTAL, ("pelvis", 1, 12), _PELVIS_ACROSS, zero=_RIGHT,
        counter=(("leg", 1, -12), ("left leg", 1, -12), ("lumbar", 1, -12)), reach_m=0.4,
    ),
    "pelvis_rotation": Drawing(
        TRANSVERSE, ("pelvis", 2, 20), _PELVIS, zero=_UP,
        counter=(("leg", 2, -20), ("left leg", 2, -20), ("lumbar", 2, -20)), reach_m=0.35,
    ),
    "hip_flexion": Drawing(SAGITTAL, ("leg", 0, 35), _THIGH, _PELVIS),
    "hip_adduction": Drawing(FRONTAL, ("leg", 1, 15), _THIGH, _PELVIS_ACROSS),
    "hip_rotation": Drawing(TRANSVERSE, ("leg", 2, 20), ("RMFE", "RLFE"), _PELVIS_ACROSS, reach_m=0.3),
    "thigh_vertical": Drawing(SAGITTAL, ("leg", 0, -25), _THIGH, zero=_DOWN),
    "hip_trunk_extension": Drawing(SAGITTAL, ("leg", 0, -25), _THIGH, _TRUNK, reach_m=0.7),
    "knee_flexion": Drawing(SAGITTAL, ("leg", 3, 50), _SHANK, _THIGH),
    "ankle_dorsiflexion": Drawing(SAGITTAL, ("leg", 4, 18), ("RHEEL", "BALL"), _SHANK, reach_m=0.3),
    "shank_vertical": Drawing(SAGITTAL, ("leg", 0, 20), _SHANK, zero=_DOWN),
    "foot_pitch": Drawing(SAGITTAL, ("leg", 4, 18), _SOLE, reach_m=0.3),
    "lumbar_extension": Drawing(SAGITTAL, ("lumbar", 0, 20), _THORAX, _PELVIS),
    "lumbar_bending": Drawing(FRONTAL, ("lumbar", 1, 18), _THORAX, _PELVIS_ACROSS),
    "lumbar_rotation": Drawing(TRANSVERSE, ("lumbar", 2, 25), ("LAC", "RAC"), _PELVIS_ACROSS, reach_m=0.35),
    "trunk_pelvis_extension": Drawing(SAGITTAL, ("lumbar", 0, 20), _TRUNK, _PELVIS),
    "lumbar_segment_extension": Drawing(SAGITTAL, ("lumbar", 0, 20), ("L5", "L1"), _PELVIS, reach_m=0.35),
    "lordosis_3pt": Drawing(SAGITTAL, ("lumbar", 0, 0), ("L3", "L1"), ("L5", "L3"), reach_m=0.3, bent_deg=18),
    "trunk_lean": Drawing(SAGITTAL, ("lumbar", 0, -18), ("HIPS", "C7"), zero=_UP),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure: what labsys computes of the landmarks, what the lines on paper make, rad, and the picture."""

    computed_rad: float
    on_paper_rad: float
    svg: str


@cache
def draw_angle(angle_id: str) -> Drawn:
    """Pose the skeleton, let labsys compute the angle, and draw it."""
    drawing, body = DRAWINGS[angle_id], make_body(1.75, Anatomy.REGRESSION, 0)
    standing = _standing(body)
    posed = standing
    for joint in (drawing.joint, *drawing.counter):
        posed = _turned(posed, *joint)
    bent_rad = math.radians(drawing.bent_deg)
    computed = _computed(angle_id, _landmarks(body, posed, bent_rad), _landmarks(body, standing, 0.0))
    before, after = _points(body, standing, 0.0), _points(body, posed, bent_rad)
    zero = _zero_rad(drawing, before, after)
    turn = _wrapped(_direction(drawing.moving, after, drawing.view) - zero)
    return Drawn(computed, turn, _picture(angle_id, drawing, after, zero, turn, computed))


def _standing(body: Body) -> PoseAngles:
    """Quiet stance without sway, feet straight ahead, so that every angle stays in its plane."""
    pose = stand(body, np.arange(_FRAMES) / _RATE_HZ, sway=0.0)
    legs = {side: np.concatenate([q[:, :4], np.zeros_like(q[:, 4:])], axis=1) for side, q in pose.legs_rad.items()}
    return replace(pose, legs_rad=legs)


def _turned(pose: PoseAngles, joint: str, component: int, degrees: float) -> PoseAngles:
    change = math.radians(degrees)
    if joint in ("leg", "left leg"):
        side = "R" if joint == "leg" else "L"
        legs = {**pose.legs_rad, side: _added(pose.legs_rad[side], component, change)}
        return replace(pose, legs_rad=legs)
    name = f"{joint}_rad"
    return replace(pose, **{name: _added(getattr(pose, name), component, change)})


def _added(angles_rad: FloatArray, component: int, change_rad: float) -> FloatArray:
    out = angles_rad.copy()
    out[:, component] += change_rad
    return out


def _placed(body: Body, pose: PoseAngles, bent_rad: float) -> FloatArray:
    """Landmarks (T, 37, 3) m, L1 turned back about L3."""
    xyz_m = place_landmarks(body, pose_segments(body, pose))
    top, middle = (LABSYS_RUN_37.landmarks.index(name) for name in ("L1", "L3"))
    arm = xyz_m[:, top] - xyz_m[:, middle]
    cos, sin = math.cos(bent_rad), math.sin(bent_rad)
    turned = np.stack([cos * arm[:, 0] - sin * arm[:, 1], sin * arm[:, 0] + cos * arm[:, 1], arm[:, 2]], axis=1)
    xyz_m[:, top] = xyz_m[:, middle] + turned
    return xyz_m


def _landmarks(body: Body, pose: PoseAngles, bent_rad: float) -> Landmarks3D:
    xyz_m = _placed(body, pose, bent_rad)
    return Landmarks3D.from_positions(LABSYS_RUN_37.landmarks, pose.times_s, xyz_m)


def _computed(angle_id: str, run: Landmarks3D, still: Landmarks3D) -> float:
    angles: JointAngles = joint_angles(prepare_points(run, still, AnalysisSettings(filter_enabled=False)))
    sides = [s.side for s in angles.series if s.id == angle_id]
    return float(np.mean(reported(angles.find(angle_id, Side.RIGHT if Side.RIGHT in sides else Side.BOTH))[0]))


def _points(body: Body, pose: PoseAngles, bent_rad: float) -> Points:
    """Landmarks, joint centres and the mid-points that lines run between, m."""
    poses = pose_segments(body, pose)
    at = dict(zip(LABSYS_RUN_37.landmarks, _placed(body, pose, bent_rad)[0], strict=True))
    at |= {name: track[0] for name, track in joint_centres(poses).items()}
    pairs = {"PSIS": ("RPSIS", "LPSIS"), "ASIS": ("RASIS", "LASIS"), "HIPS": ("RHJC", "LHJC"), "BALL": ("RMT1", "RMT5")}
    pairs |= {"LOW": ("T10", "XP"), "HIGH": ("C7", "IJ")}
    return at | {name: 0.5 * (at[a] + at[b]) for name, (a, b) in pairs.items()}


def _on_paper(point: FloatArray, view: View) -> tuple[float, float]:
    return float(point[view.right]), float(point[view.up])


def _direction(line: Line, at: Points, view: View) -> float:
    (x0, y0), (x1, y1) = (_on_paper(at[name], view) for name in line)
    return math.atan2(y1 - y0, x1 - x0)


def _zero_rad(drawing: Drawing, before: Points, after: Points) -> float:
    """Where the moving line is at zero: an absolute direction, or as in standing, carried along by its segment."""
    if drawing.zero is not None:
        return math.atan2(drawing.zero[1], drawing.zero[0])
    carried = 0.0
    if drawing.against is not None:
        carried = _direction(drawing.against, after, drawing.view) - _direction(drawing.against, before, drawing.view)
    return _direction(drawing.moving, before, drawing.view) + carried


def _wrapped(angle_rad: float) -> float:
    return math.remainder(angle_rad, math.tau)


def _picture(angle_id: str, drawing: Drawing, at: Points, zero_rad: float, turn_rad: float, computed_rad: float) -> str:
    paper = _Paper(drawing, at)
    length = 0.62 * drawing.reach_m
    marks = [paper.line(a, b, "bone") for a, b in LABSYS_RUN_37.bones]
    marks += [paper.dot(name) for name in LABSYS_RUN_37.landmarks]
    if drawing.against is not None:
        marks.append(paper.line(*drawing.against, "against"))
    marks += [paper.ray(zero_rad, length, "zero"), paper.ray(zero_rad + turn_rad, length, "moving")]
    marks.append(paper.arc(zero_rad, turn_rad, 0.85 * length))
    label = f"{math.degrees(computed_rad):+.1f}°"
    marks.append(paper.text(zero_rad + 0.5 * turn_rad, 1.12 * length, label))
    return _SVG.format(w=_WIDTH_PX, h=_HEIGHT_PX, title=angle_id, seen=drawing.view.name, marks="\n".join(marks))


class _Paper:
    """Metres in a view to pixels, the vertex of the angle in the middle."""

    def __init__(self, drawing: Drawing, at: Points) -> None:
        self._view, self._at = drawing.view, at
        self._scale = 0.5 * (_HEIGHT_PX - 40) / drawing.reach_m
        self._vertex = _on_paper(at[drawing.moving[0]], drawing.view)

    def _px(self, point: tuple[float, float]) -> tuple[float, float]:
        x, y = point[0] - self._vertex[0], point[1] - self._vertex[1]
        return 0.5 * _WIDTH_PX + self._scale * x, 0.5 * _HEIGHT_PX + 8 - self._scale * y

    def _from_vertex(self, angle_rad: float, length_m: float) -> tuple[float, float]:
        x = self._vertex[0] + length_m * math.cos(angle_rad)
        return self._px((x, self._vertex[1] + length_m * math.sin(angle_rad)))

    def line(self, a: str, b: str, kind: str) -> str:
        (x0, y0), (x1, y1) = (self._px(_on_paper(self._at[n], self._view)) for n in (a, b))
        return f'<line class="{kind}" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>'

    def dot(self, name: str) -> str:
        x, y = self._px(_on_paper(self._at[name], self._view))
        return f'<circle class="landmark" cx="{x:.1f}" cy="{y:.1f}" r="1.6"/>'

    def ray(self, angle_rad: float, length_m: float, kind: str) -> str:
        (x0, y0), (x1, y1) = self._px(self._vertex), self._from_vertex(angle_rad, length_m)
        return f'<line class="{kind}" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>'

    def arc(self, from_rad: float, turn_rad: float, radius_m: float) -> str:
        (x0, y0), (x1, y1) = (self._from_vertex(from_rad + t, radius_m) for t in (0.0, turn_rad))
        r, sweep = self._scale * radius_m, int(turn_rad < 0)  # paper's y runs down
        arrow = 'marker-end="url(#tip)"'
        return f'<path class="arc" {arrow} d="M {x0:.1f} {y0:.1f} A {r:.1f} {r:.1f} 0 0 {sweep} {x1:.1f} {y1:.1f}"/>'

    def text(self, angle_rad: float, length_m: float, words: str) -> str:
        x, y = self._from_vertex(angle_rad, length_m)
        return f'<text x="{x:.1f}" y="{y:.1f}" class="value">{words}</text>'


_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}"
 font-family="sans-serif">
<title>{title}</title>
<style>
.bone {{ stroke: #b8bec6; stroke-width: 2 }} .landmark {{ fill: #7d8590 }}
.against {{ stroke: #2f6f4f; stroke-width: 3 }} .zero {{ stroke: #333; stroke-width: 1.6; stroke-dasharray: 5 4 }}
.moving {{ stroke: #b3261e; stroke-width: 3 }} .arc {{ fill: none; stroke: #b3261e; stroke-width: 1.6 }}
.title {{ font-size: 11px; fill: #333; paint-order: stroke; stroke: #fff; stroke-width: 4px }}
.value {{ font-size: 13px; font-weight: bold; fill: #b3261e; text-anchor: middle }}
.value {{ paint-order: stroke; stroke: #fff; stroke-width: 4 }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="4.5" markerHeight="4.5" orient="auto">
<path d="M 0 0 L 8 4 L 0 8 z" fill="#b3261e"/></marker></defs>
<rect width="{w}" height="{h}" fill="#fff"/>
{marks}
<text x="8" y="16" class="title">{title}<tspan x="8" dy="13">{seen}</tspan></text>
</svg>
"""


def main() -> None:
    """Write every figure."""
    FIGURES.mkdir(exist_ok=True)
    for angle in ANGLES:
        (FIGURES / f"{angle.id}.svg").write_text(draw_angle(angle.id).svg, encoding="utf-8")


if __name__ == "__main__":
    main()
