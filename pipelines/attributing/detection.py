"""Whether 2D detection is to blame: views that wander, lie wrong, are exchanged, not there, or of somebody else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.landmarks import Landmarks2D
from labsys.core.units import millimetres
from pipelines.attributing.blame import Blame, Cause, Normal
from pipelines.attributing.views import ViewErrors
from pipelines.sides import Exchange, exchanged_by

_SWEEPS = 4
_BODY_SHARE = 0.15  # of the body's diagonal: further off than any limb is mistaken
_FEWEST_SEEN, _MOST_OF_IT = 5, 0.7
_NEVER = 0.01
_OF_MEDIAN = 3.0  # wrong views of one camera and landmark against the trial's usual share
_STEADY = 2.0  # times what it wanders
_SEVERAL = 0.5  # of the landmarks: then it is the camera's matter
_LOOK = "Look at this camera's picture (--picture); label such frames and train the model on, or leave the camera out"
_KINDS = tuple(Exchange)


@dataclass(frozen=True, eq=False)
class NoiseShape:
    """Noise of K landmarks in C cameras as a level times what camera and landmark add, and what is left over.

    Attributes:
        level_px: NaN where nothing is known. by_camera: (C,). by_landmark: (K,). own: (K, C) ratio of each view to
            what its camera and its landmark let expect; NaN where unknown.
    """

    level_px: float
    by_camera: FloatArray
    by_landmark: FloatArray
    own: FloatArray


def shape_noise(noise_px: FloatArray) -> NoiseShape:
    """Split noise (K, C) px by medians, so that few bad views do not move what is expected of the rest (Tukey)."""
    left = np.log(noise_px)
    rows, columns = np.zeros(left.shape[0]), np.zeros(left.shape[1])
    for _ in range(_SWEEPS):
        step = _median(left, 1)
        rows, left = rows + step, left - step[:, None]
        step = _median(left, 0)
        columns, left = columns + step, left - step[None]
    known_rows, known_columns = ~np.isnan(noise_px).all(axis=1), ~np.isnan(noise_px).all(axis=0)
    if not known_rows.any():
        return NoiseShape(float("nan"), np.exp(columns), np.exp(rows), np.exp(left))
    middle_row, middle_column = np.median(rows[known_rows]), np.median(columns[known_columns])
    level = float(np.exp(middle_row + middle_column))
    return NoiseShape(level, np.exp(columns - middle_column), np.exp(rows - middle_row), np.exp(left))


def _median(values: FloatArray, axis: int) -> FloatArray:
    """Median of what is known, 0 where nothing is."""
    empty = np.isnan(values).all(axis=axis, keepdims=True)
    return np.asarray(np.nanmedian(np.where(empty, 0.0, values), axis=axis))


def judge_noise(
    views: ViewErrors, cameras: Sequence[str], landmarks: Sequence[str], *, spared: Collection[str], normal: Normal
) -> list[Blame]:
    """Views that wander or lie wrong more than others do: a trial, cameras, landmarks, or single views.

    spared: cameras that something else is to blame for already.
    """
    shape = shape_noise(views.noise_px)
    noise_m = views.noise_m
    known = np.isfinite(noise_m)
    level_m = float(np.median(noise_m[known])) if known.any() else 0.0
    if level_m > normal.trial_noise_m:
        whole = Blame(
            Cause.DETECTION,
            (),
            (),
            level_m / normal.trial_noise_m,
            f"points wander by {shape.level_px:.1f} px ({millimetres(level_m):.0f} mm) in every camera",
            f"up to {millimetres(normal.trial_noise_m):.0f} mm",
            "Check focus, light and exposure, and whether the model was trained on pictures like these",
        )
        return [whole]
    loud = np.where(known, noise_m, 0.0) > normal.noise_m
    whole_cameras = (shape.by_camera > normal.noise_ratio) & (_middle(loud, 0) > _SEVERAL)
    whole_landmarks = (shape.by_landmark > normal.noise_ratio) & (_middle(loud, 1) > _SEVERAL)
    blames = [_noisy_camera(views, cameras, c, shape, normal) for c in np.flatnonzero(whole_cameras).tolist()]
    if whole_landmarks.any():
        blames.append(_noisy_landmarks(views, landmarks, np.flatnonzero(whole_landmarks), shape, normal))
    excess = np.where(loud & np.isfinite(shape.own), shape.own / normal.noise_ratio, 0.0)
    share = views.wrong_share
    usual = max(normal.wrong, _OF_MEDIAN * float(np.median(share)))
    excess = np.maximum(excess, share / usual)
    excess[:, [camera in spared for camera in cameras]] = 0.0
    return blames + _single_views(views, cameras, landmarks, excess, normal)


def _middle(flags: BoolArray, axis: int) -> FloatArray:
    return np.asarray(flags.mean(axis=axis))


def _noisy_camera(views: ViewErrors, cameras: Sequence[str], c: int, shape: NoiseShape, normal: Normal) -> Blame:
    px, m = np.nanmedian(views.noise_px[:, c]), np.nanmedian(views.noise_m[:, c])
    return Blame(
        Cause.DETECTION,
        (cameras[c],),
        (),
        float(shape.by_camera[c] / normal.noise_ratio),
        f"its points wander by {px:.1f} px ({millimetres(m):.0f} mm), {shape.by_camera[c]:.1f} times as in the others",
        f"up to {normal.noise_ratio:g} times",
        "Check its focus, exposure and view; " + _lower_first(_LOOK),
    )


def _noisy_landmarks(
    views: ViewErrors, landmarks: Sequence[str], which: IntArray, shape: NoiseShape, normal: Normal
) -> Blame:
    px, m = np.nanmedian(views.noise_px[which]), np.nanmedian(views.noise_m[which])
    ratio = float(shape.by_landmark[which].max())
    return Blame(
        Cause.DETECTION,
        (),
        tuple(landmarks[k] for k in which),
        ratio / normal.noise_ratio,
        f"wander by {px:.1f} px ({millimetres(m):.0f} mm) in all cameras, up to {ratio:.1f} times as other landmarks",
        f"up to {normal.noise_ratio:g} times",
        "The model is unsure of these landmarks: label more of them",
    )


def _single_views(
    views: ViewErrors, cameras: Sequence[str], landmarks: Sequence[str], excess: FloatArray, normal: Normal
) -> list[Blame]:
    """One blame per camera, with its landmarks, the worst first."""
    blames = []
    for c, camera in enumerate(cameras):
        own = [int(k) for k in np.argsort(-excess[:, c], kind="stable") if excess[k, c] > 1.0]
        if not own:
            continue
        named = _named(views, own, c, landmarks)
        wrong = float(views.wrong[:, own, c].sum() / max((views.seen[:, own, c] & views.found[:, own]).sum(), 1))
        found, usual = _describe_views(views, own, c, wrong, normal)
        blames.append(Blame(Cause.DETECTION, (camera,), named, float(excess[own[0], c]), found, usual, _LOOK))
    return blames


def _named(views: ViewErrors, own: list[int], c: int, landmarks: Sequence[str]) -> tuple[str, ...]:
    """Names of the landmarks; () where they are most of what the camera sees."""
    judged = int((views.seen[:, :, c].sum(axis=0) > 0).sum())
    return () if len(own) > max(_SEVERAL * judged, 3) else tuple(landmarks[k] for k in own)


def _describe_views(views: ViewErrors, own: list[int], c: int, wrong: float, normal: Normal) -> tuple[str, str]:
    """What was found about some landmarks in one camera, and what is normal."""
    found, usual = [], []
    noise, noise_m, others = views.noise_px[own, c], views.noise_m[own, c], _noise_elsewhere(views, own, c)
    if np.isfinite(noise).any() and np.isfinite(others):
        found.append(f"wanders by {np.nanmedian(noise):.1f} px ({millimetres(np.nanmedian(noise_m)):.0f} mm)")
        usual.append(f"{others:.1f} px as in the other cameras")
    if wrong > normal.wrong / 3.0:
        offset = float(np.nanmedian(np.linalg.norm(views.offset_px[own, c], axis=-1)))
        steady = offset > _STEADY * float(np.nanmedian(views.restless_px[own, c]))
        how = f", steadily by {offset:.0f} px" if steady else ""
        found.append(f"{100 * wrong:.0f} % of its points lie far from where the other cameras place them{how}")
        usual.append(f"up to {100 * normal.wrong:.0f} %")
    return "; ".join(found) or "lies elsewhere than in the other cameras", "; ".join(usual) or "as in the others"


def _noise_elsewhere(views: ViewErrors, landmarks: list[int], camera: int) -> float:
    others = np.delete(views.noise_px[landmarks], camera, axis=1)
    return float(np.nanmedian(others)) if np.isfinite(others).any() else float("nan")


def judge_presence(views: ViewErrors, cameras: Sequence[str], landmarks: Sequence[str], normal: Normal) -> list[Blame]:
    """Landmarks that no camera finds, and cameras that find little."""
    seen = views.seen.mean(axis=0)
    never = tuple(name for k, name in enumerate(landmarks) if seen[k].max() < _NEVER)
    blames = []
    if never:
        blames.append(
            Blame(
                Cause.DETECTION,
                (),
                never,
                1.0 / normal.too_few,
                "found by no camera",
                f"found by two in {100 * (1 - normal.too_few):.0f} % of frames",
                "Check that the model knows these landmarks and that reconstruct.min_likelihood is not too high",
            )
        )
    there = [k for k, name in enumerate(landmarks) if name not in never]
    for c, camera in enumerate(cameras):
        unseen = 1.0 - float(seen[there, c].mean()) if there else 0.0
        if unseen > normal.unseen:
            blames.append(
                Blame(
                    Cause.DETECTION,
                    (camera,),
                    (),
                    unseen / normal.unseen,
                    f"finds {100 * (1 - unseen):.0f} % of the landmarks",
                    f"{100 * (1 - normal.unseen):.0f} % or more",
                    "Check that the body fills its picture, and its light and focus",
                )
            )
    return blames


def find_elsewhere(views: ViewErrors, body_px: FloatArray) -> BoolArray:
    """(F, C) frames in which most of what a camera sees lies far from the body: another person, or lost.

    body_px: (C,) diagonal of the body in each camera.
    """
    distance = np.linalg.norm(views.residual_px, axis=-1)
    known = np.isfinite(distance)
    far = known & (np.where(known, distance, 0.0) > _BODY_SHARE * np.nan_to_num(body_px, nan=np.inf))
    count = known.sum(axis=1)
    return np.asarray((count >= _FEWEST_SEEN) & (far.sum(axis=1) >= _MOST_OF_IT * count))


def judge_elsewhere(elsewhere: BoolArray, cameras: Sequence[str], normal: Normal) -> list[Blame]:
    """Cameras that follow somebody else."""
    share = elsewhere.mean(axis=0)
    return [
        Blame(
            Cause.DETECTION,
            (camera,),
            (),
            float(share[c] / normal.elsewhere),
            f"has the body elsewhere than the others in {100 * share[c]:.0f} % of frames: another person, or lost",
            f"up to {100 * normal.elsewhere:g} %",
            "Keep others out of its picture; were all frames so, its video or calibration would be another camera's",
        )
        for c, camera in enumerate(cameras)
        if share[c] > normal.elsewhere
    ]


def judge_sides(exchanged: IntArray, landmarks: Landmarks2D, *, repaired: bool, normal: Normal) -> list[Blame]:
    """Cameras whose detector exchanges left and right. exchanged: (T, C) index into `Exchange`."""
    limit = normal.exchanged if repaired else normal.unrepaired
    end = "put right" if repaired else "left as they were"
    remedy = "Train the model on frames like these; the first and last frames of an exchange may still be wrong"
    if not repaired:
        remedy = "Process with --set sides.repair=true"
    blames = []
    for c, camera in enumerate(landmarks.cameras):
        share = float((exchanged[:, c] > 0).mean())
        if share <= limit:
            continue
        kinds = [
            f"{kind} in {100 * (exchanged[:, c] == i).mean():.0f} %"
            for i, kind in enumerate(_KINDS)
            if i and (exchanged[:, c] == i).any()
        ]
        blames.append(
            Blame(
                Cause.DETECTION,
                (camera,),
                _exchanged_landmarks(exchanged[:, c], landmarks.landmarks),
                share / limit,
                f"left and right exchanged in {100 * share:.0f} % of frames ({', '.join(kinds)}), {end}",
                f"up to {100 * limit:g} %",
                remedy,
            )
        )
    return blames


def _exchanged_landmarks(exchanged: IntArray, landmarks: tuple[str, ...]) -> tuple[str, ...]:
    kinds = [_KINDS[i] for i in np.unique(exchanged) if i]
    if Exchange.ALL in kinds:
        return ()
    concerned = {name for kind in kinds for name in exchanged_by(kind, landmarks)}
    return tuple(name for name in landmarks if name in concerned)


def _lower_first(text: str) -> str:
    return text[0].lower() + text[1:]
