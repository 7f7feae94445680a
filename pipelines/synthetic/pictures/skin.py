"""The skin of one body: a mesh that follows the segments, and on which every sticker keeps its true place.

Vertices follow two or three segments, each as far as it is near. What then remains between a sticker's true place and
its place on the mesh is taken up by the skin round it (compactly supported radial functions of Wendland 1995), so that
the picture shows each sticker where the truth has it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.lens import compiled
from labsys.core.arrays import FloatArray, IntArray
from labsys.core.skeleton import LABSYS_RUN_37
from pipelines.synthetic.anatomy import STANDING_TILT_RAD, Body
from pipelines.synthetic.pictures.flesh import Build, make_blobs
from pipelines.synthetic.pictures.mesh import blob_distances, mesh_blobs, pack_blobs
from pipelines.synthetic.rotations import about_axis, extract_jcs
from pipelines.synthetic.skeleton_pose import PoseAngles, SegmentPoses, place_landmarks, pose_segments

SEGMENTS = ("pelvis", "lumbar", "thorax", "head",
            *(s + n for s in "RL" for n in ("thigh", "shank", "foot", "upper_arm", "forearm")))  # fmt: skip
# The middle of the two tragi lies inside the head: everything else is a point of the skin.
INSIDE = "HEAD"
STICKERS = tuple(n for n in LABSYS_RUN_37.landmarks if n != INSIDE)
_STICKER_ROWS = np.array([LABSYS_RUN_37.landmarks.index(n) for n in STICKERS])
_NEIGHBOURS = {
    "pelvis": ("lumbar", "Rthigh", "Lthigh"), "lumbar": ("pelvis", "thorax"),
    "thorax": ("lumbar", "head", "Rupper_arm", "Lupper_arm"), "head": ("thorax",),
    **{s + n: tuple(m if m in ("pelvis", "thorax") else s + m for m in near) for s in "RL" for n, near in {
        "thigh": ("pelvis", "shank"), "shank": ("thigh", "foot"), "foot": ("shank",),
        "upper_arm": ("thorax", "forearm"), "forearm": ("upper_arm",)}.items()},
}  # fmt: skip
_STEP_M = 0.019
_FOLLOW_M = 0.014
_PULL_M = 0.09
_SLOTS = 3


@dataclass(frozen=True, eq=False)
class Skin:
    """A body's mesh.

    Attributes:
        rest_m: (V, 3) m in LAB in the pose it was made in. triangles: (F, 3), outward.
        segment: (V, 3) numbers of the segments that a vertex follows; share: (V, 3) how far; local_m: (V, 3, 3) m its
            place in each one's axes.
        owner: (V,) the segment that it follows most.
        anchor: (36,) the vertex under every sticker.
        near, pull: (V, n) stickers whose correction reaches a vertex, and how far it goes along with each.
        apart: (36, 36) how the corrections of stickers near each other add up to each one's own.
    """

    rest_m: FloatArray
    triangles: NDArray[np.int32]
    segment: IntArray
    share: FloatArray
    local_m: FloatArray
    owner: IntArray
    anchor: IntArray
    near: IntArray
    pull: FloatArray
    apart: FloatArray
    rest_poses: SegmentPoses
    scale: float


def make_skin(body: Body, build: Build, stickers_m: Mapping[str, FloatArray] | None) -> Skin:
    """Grow the skin of a body whose stickers sit beside its landmarks by `stickers_m` (see `place_landmarks`)."""
    scale = body.height_m / 1.75
    poses = pose_segments(body, _spread())
    R = {n: poses.rotations[n][0] for n in SEGMENTS}
    origins = {n: poses.origins_m[n][0] for n in SEGMENTS}
    blobs = make_blobs(body, build)
    packed = pack_blobs(blobs, R, origins)
    vertices, triangles = mesh_blobs(packed, step_m=_STEP_M * scale)
    by_blob = np.empty((len(vertices), len(blobs)))
    blob_distances(vertices, packed, by_blob)
    owners = np.array([SEGMENTS.index(b.segment) for b in blobs])
    distance = np.stack([by_blob[:, owners == s].min(axis=1) for s in range(len(SEGMENTS))], axis=1)
    segment, share = _follow(distance, _FOLLOW_M * scale)
    true_m = place_landmarks(body, poses, stickers_m)[0, _STICKER_ROWS]
    anchor = _anchors(vertices, true_m)
    near, pull, apart = _pulls(vertices, vertices[anchor], _PULL_M * scale)
    fitted = vertices.copy()
    pull_vertices(near, pull, apart @ (true_m - vertices[anchor]), fitted)
    local = np.stack([_local(fitted, segment[:, k], R, origins) for k in range(_SLOTS)], axis=1)
    faces = triangles.astype(np.int32)
    return Skin(fitted, faces, segment, share, local, segment[:, 0], anchor, near, pull, apart, poses, scale)


def _spread() -> PoseAngles:
    """Legs and arms away from each other, so that nothing grows together that does not belong together."""
    zero = np.zeros((1, 1))
    pelvis = np.array([[-STANDING_TILT_RAD, 0.0, 0.0]])
    legs = {}
    for side, sign in (("R", 1.0), ("L", -1.0)):
        thigh = about_axis(0, np.array([-sign * math.radians(13.0)]))
        hip = extract_jcs(np.swapaxes(about_axis(2, pelvis[:, 0]), -1, -2) @ thigh)
        legs[side] = np.concatenate([hip, zero, np.zeros((1, 3))], axis=-1)
    arms = np.array([[0.0, math.radians(30.0), math.radians(12.0)]])
    return PoseAngles(
        np.zeros(1), np.array([[0.0, 0.95, 0.0]]), pelvis, -pelvis, np.zeros((1, 3)), legs, {"R": arms, "L": arms}
    )


def _follow(distance: FloatArray, width_m: float) -> tuple[IntArray, FloatArray]:
    """Which segments (V, 3) every vertex follows and how far (V, 3): the nearest one and its neighbours."""
    owner = distance.argmin(axis=1)
    allowed = np.eye(len(SEGMENTS), dtype=np.bool_)
    for name, near in _NEIGHBOURS.items():
        allowed[SEGMENTS.index(name), [SEGMENTS.index(n) for n in near]] = True
    excess = np.where(allowed[owner], distance - distance.min(axis=1, keepdims=True), np.inf)
    weight = np.exp(-np.clip(excess, 0.0, None) / width_m)
    chosen = np.argsort(-weight, axis=1, kind="stable")[:, :_SLOTS]
    kept = np.take_along_axis(weight, chosen, axis=1)
    return chosen, kept / kept.sum(axis=1, keepdims=True)


def _local(
    points: FloatArray, segment: IntArray, R: Mapping[str, FloatArray], origins: Mapping[str, FloatArray]
) -> FloatArray:
    turn, place = np.stack([R[n] for n in SEGMENTS])[segment], np.stack([origins[n] for n in SEGMENTS])[segment]
    return np.asarray(np.einsum("vji,vj->vi", turn, points - place))


def _anchors(vertices: FloatArray, true_m: FloatArray) -> IntArray:
    """The vertex nearest to every sticker, none twice."""
    distance = np.linalg.norm(vertices[None] - true_m[:, None], axis=-1)
    chosen: list[int] = []
    for row in distance:
        row[chosen] = np.inf
        chosen.append(int(row.argmin()))
    return np.array(chosen)


def _pulls(vertices: FloatArray, centres: FloatArray, reach_m: float) -> tuple[IntArray, FloatArray, FloatArray]:
    """Which corrections (V, n) become displacements of a vertex, by which factors (V, n), and what makes them exact at
    the anchors (36, 36); they end at `reach_m`."""
    between = _wendland(np.linalg.norm(centres[:, None] - centres[None], axis=-1) / reach_m)
    spread = _wendland(np.linalg.norm(vertices[:, None] - centres[None], axis=-1) / reach_m)
    most = int((spread > 0).sum(axis=1).max())
    near = np.argsort(-spread, axis=1, kind="stable")[:, :most]
    return near, np.take_along_axis(spread, near, axis=1), np.asarray(np.linalg.inv(between))


def _wendland(r: FloatArray) -> FloatArray:
    return np.asarray(np.clip(1.0 - r, 0.0, None) ** 4 * (4.0 * r + 1.0))


def stack_segments(poses: SegmentPoses) -> tuple[FloatArray, FloatArray]:
    """Rotations (T, 14, 3, 3) and origins (T, 14, 3) m in the order of `SEGMENTS`."""
    R = np.stack([poses.rotations[n] for n in SEGMENTS], axis=1)
    return R, np.stack([poses.origins_m[n] for n in SEGMENTS], axis=1)


def pose_skin(skin: Skin, rotations: FloatArray, origins_m: FloatArray, landmarks_m: FloatArray) -> FloatArray:
    """Vertices (V, 3) m in LAB.

    Args:
        rotations, origins_m: (14, 3, 3) and (14, 3) m. landmarks_m: (37, 3) m, where the stickers are.
    """
    out = np.empty_like(skin.rest_m)
    follow_segments(skin.segment, skin.share, skin.local_m, np.ascontiguousarray(rotations), origins_m, out)
    pull_vertices(skin.near, skin.pull, skin.apart @ (landmarks_m[_STICKER_ROWS] - out[skin.anchor]), out)
    return out


@compiled
def follow_segments(segment, share, local_m, rotations, origins_m, out):  # type: ignore[no-untyped-def]  # compiled
    """Fill out (V, 3) m: each vertex where its segments carry it, by their shares."""
    for i in range(segment.shape[0]):
        x, y, z = 0.0, 0.0, 0.0
        for k in range(segment.shape[1]):
            w = share[i, k]
            if w < 1e-4:
                continue
            s = segment[i, k]
            R, p = rotations[s], local_m[i, k]
            x += w * (R[0, 0] * p[0] + R[0, 1] * p[1] + R[0, 2] * p[2] + origins_m[s, 0])
            y += w * (R[1, 0] * p[0] + R[1, 1] * p[1] + R[1, 2] * p[2] + origins_m[s, 1])
            z += w * (R[2, 0] * p[0] + R[2, 1] * p[1] + R[2, 2] * p[2] + origins_m[s, 2])
        out[i, 0], out[i, 1], out[i, 2] = x, y, z


@compiled
def pull_vertices(near, pull, corrections, out):  # type: ignore[no-untyped-def]  # compiled
    """Move out (V, 3) by the corrections (36, 3) that reach each vertex."""
    for i in range(near.shape[0]):
        for k in range(near.shape[1]):
            w = pull[i, k]
            if w == 0.0:
                break
            c = corrections[near[i, k]]
            out[i, 0] += w * c[0]
            out[i, 1] += w * c[1]
            out[i, 2] += w * c[2]


@compiled
def vertex_normals(points_m, triangles, out):  # type: ignore[no-untyped-def]  # compiled
    """Fill out (V, 3) with unit normals, the mean of the triangles round each vertex by their area."""
    out[:] = 0.0
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ux, uy, uz = points_m[b, 0] - points_m[a, 0], points_m[b, 1] - points_m[a, 1], points_m[b, 2] - points_m[a, 2]
        vx, vy, vz = points_m[c, 0] - points_m[a, 0], points_m[c, 1] - points_m[a, 1], points_m[c, 2] - points_m[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (a, b, c):
            out[v, 0] += nx
            out[v, 1] += ny
            out[v, 2] += nz
    for i in range(out.shape[0]):
        length = max(np.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2), 1e-12)
        out[i] /= length
