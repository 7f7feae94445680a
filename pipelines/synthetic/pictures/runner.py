"""A runner that can be posed at any moment: body, gait and stickers are those of `make_trial`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.session import TrialKind
from pipelines.synthetic.anatomy import Body, make_body, place_stickers
from pipelines.synthetic.gait import Gait, make_gait, pose_gait
from pipelines.synthetic.parameters import Anatomy, RunnerParameters
from pipelines.synthetic.pictures.raster import Floats32
from pipelines.synthetic.pictures.skin import make_skin, stack_segments
from pipelines.synthetic.pictures.tailor import Dressed, dress
from pipelines.synthetic.pictures.wardrobe import Look
from pipelines.synthetic.posture import move_on_the_spot, stand
from pipelines.synthetic.skeleton_pose import SegmentPoses, place_landmarks, pose_segments


@dataclass(frozen=True, eq=False)
class Runner:
    """A dressed body and how it moves.

    Attributes:
        gait: None where it stands. stickers_m: offsets of the stickers, None where they sit exactly.
        belt_texture: see `belt.paint_belt`.
    """

    body: Body
    gait: Gait | None
    kind: TrialKind
    seed: int
    stickers_m: Mapping[str, FloatArray] | None
    dressed: Dressed
    belt_texture: Floats32

    @property
    def belt_mps(self) -> float:
        """Belt speed, 0 where nobody runs."""
        return 0.0 if self.gait is None else self.gait.style.speed_mps

    def pose(self, times_s: FloatArray) -> SegmentPoses:
        """Segments at these moments."""
        if self.gait is not None:
            return pose_segments(self.body, pose_gait(self.gait, times_s))
        still = self.kind is TrialKind.STATIC
        angles = stand(self.body, times_s) if still else move_on_the_spot(self.body, times_s, self.seed)
        return pose_segments(self.body, angles)

    def landmarks_m(self, poses: SegmentPoses) -> FloatArray:
        """LABSYS-RUN-37 (T, 37, 3) m in LAB, where the stickers are."""
        return place_landmarks(self.body, poses, self.stickers_m)


def make_runner(
    parameters: RunnerParameters,
    look: Look,
    belt_texture: Floats32,
    *,
    kind: TrialKind,
    seconds: float,
    seed: int,
    visit_seed: int,
) -> Runner:
    """The runner of `make_trial` with the same arguments, with a skin, on a belt (see `belt.paint_belt`).

    Raises:
        InputError: a speed or duration that the kind cannot have.
    """
    body = make_body(parameters.height_m, parameters.anatomy, seed)
    moves = kind in (TrialKind.RUN, TrialKind.WALK)
    gait = make_gait(parameters, body, kind=kind, seconds=seconds, seed=seed) if moves else None
    stickers = None if parameters.anatomy is Anatomy.REGRESSION else place_stickers(visit_seed)
    dressed = dress(make_skin(body, look.build, stickers), body, look)
    return Runner(body, gait, kind, seed, stickers, dressed, belt_texture)


@dataclass(frozen=True, eq=False)
class Motion:
    """A runner over the exposures of a film: first index the exposure, second its beginning and its end.

    Attributes:
        times_s: (T,) middles. rotations: (T, 2, 14, 3, 3), origins_m: (T, 2, 14, 3) of the segments (`skin.SEGMENTS`).
        landmarks_m: (T, 2, 37, 3).
    """

    times_s: FloatArray
    rotations: FloatArray
    origins_m: FloatArray
    landmarks_m: FloatArray


def follow(runner: Runner, times_s: FloatArray, exposure_s: float) -> Motion:
    """Pose a runner at both ends of every exposure round these moments."""
    ends = (times_s[:, None] + exposure_s * np.array([-0.5, 0.5])).ravel()
    poses = runner.pose(ends)
    R, origins = stack_segments(poses)
    landmarks = runner.landmarks_m(poses)
    return Motion(times_s, *(a.reshape(len(times_s), 2, *a.shape[1:]) for a in (R, origins, landmarks)))
