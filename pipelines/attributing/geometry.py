"""Whether sync, calibration or triangulation is to blame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from calibration.drift.repair import CameraRepair
from labsys.core.arrays import FloatArray
from labsys.core.camera_audit import CameraAudit, DriftAudit
from labsys.core.landmarks import Landmarks2D, Landmarks3D
from labsys.core.session import TrialName
from labsys.core.units import degrees, millimetres
from pipelines.attributing.blame import Blame, Cause, Normal
from pipelines.attributing.lags import Lag
from pipelines.attributing.views import ViewErrors
from pipelines.drift import describe_motion, drift_warning
from pipelines.retiming.grade import describe_lost
from pipelines.retiming.losses import LostFrames
from pipelines.trajectory import bones_of

_FAST = 90.0  # percentile of a landmark's speed at which a lag is shown
_NAMED = 3
_FEWEST_ONE_WAY = 6  # landmarks, before "all" is said of them
_BARELY = 1.01
_NORMAL_5_TO_95 = 3.2897  # standard deviations between these percentiles of a normal distribution
_PARALLAX_RAD = 0.0524  # triangulation's own least angle: below it there is no point at all


def judge_lags(
    lags: Mapping[str, Lag], landmarks: Landmarks2D, *, estimated: bool, trial: TrialName, normal: Normal
) -> list[Blame]:
    """Cameras that look later or earlier than the others. estimated: whether the run corrected lags already."""
    late = {name: lag for name, lag in lags.items() if lag.is_beyond(normal.lag_s)}
    remedy = f"labsys process {trial} --set retime.estimate_offsets=true, and check the cameras' trigger or timestamps"
    if estimated:
        remedy = "The lag changes within the trial: check the cameras' trigger or timestamps"
    if len(lags) == 2 and late:
        gap = max(abs(lag.lag_s) for lag in late.values()) * 2.0
        text = f"look {1000 * gap:.1f} ms apart; which of them is late cannot be told"
        return [_lag_blame(tuple(lags), (), text, gap, remedy, normal)]
    blames = []
    for name, lag in late.items():
        fast = _displaced(landmarks, name, lag.lag_s)
        most = "".join(f", which moves {k} by {px:.0f} px when it is fast" for k, px in fast[:1])
        text = (
            f"looks {1000 * abs(lag.lag_s):.1f} ± {1000 * lag.sd_s:.2f} ms {'later' if lag.lag_s > 0 else 'earlier'} "
            f"than the others ({abs(lag.lag_s) * landmarks.rate_hz:.1f} frames){most}"
        )
        blames.append(_lag_blame((name,), tuple(k for k, _ in fast), text, abs(lag.lag_s), remedy, normal))
    return blames


def judge_losses(lost: Sequence[LostFrames], normal: Normal) -> list[Blame]:
    """Cameras that lost frames within the trial: late from there on, and not before."""
    return [
        _lag_blame(
            (found.camera,),
            (),
            describe_lost(found).removeprefix(found.camera).strip(),
            abs(found.later_s),
            "Give timestamps (labsys import --timestamps), or bring in the part before alone",
            normal,
        )
        for found in lost
    ]


def _lag_blame(
    cameras: tuple[str, ...], landmarks: tuple[str, ...], found: str, lag_s: float, remedy: str, normal: Normal
) -> Blame:
    usual = f"within {1000 * normal.lag_s:g} ms"
    return Blame(Cause.SYNC, cameras, landmarks, lag_s / normal.lag_s, found, usual, remedy)


def _displaced(landmarks: Landmarks2D, camera: str, lag_s: float) -> list[tuple[str, float]]:
    """The landmarks that a lag displaces most in this camera, px at a high percentile of their speed."""
    xy = landmarks.xy_px[:, landmarks.cameras.index(camera)]
    speed = np.linalg.norm(np.diff(xy, axis=0), axis=-1) * landmarks.rate_hz
    known = np.isfinite(speed).sum(axis=0) > 0
    high = np.where(known, np.nanpercentile(np.where(known, speed, 0.0), _FAST, axis=0), 0.0)
    return [(landmarks.landmarks[k], float(abs(lag_s) * high[k])) for k in np.argsort(-high)[:_NAMED]]


def judge_frames(audits: Sequence[CameraAudit], normal: Normal) -> list[Blame]:
    """Cameras that lost, repeated or spoilt frames."""
    blames = []
    for audit in audits:
        gone = audit.n_lost + audit.n_repeated + audit.n_bad
        share = gone / max(audit.n_frames + audit.n_lost, 1)
        if share > normal.lost:
            found = f"{audit.n_lost} frames lost, {audit.n_repeated} repeated, {audit.n_bad} bad of {audit.n_frames}"
            remedy = "Check its cable, disk and exposure; record again if it is needed"
            usual = f"up to {100 * normal.lost:g} %"
            blames.append(Blame(Cause.SYNC, (audit.camera,), (), share / normal.lost, found, usual, remedy))
    return blames


def judge_calibration(
    drift: DriftAudit,
    repair: CameraRepair | None,
    px_per_m: FloatArray,
    *,
    remarks: Sequence[str],
    trial: TrialName,
    normal: Normal,
) -> list[Blame]:
    """Cameras that are not where the calibration has them, and what else is known against it.

    Args:
        repair: the moved camera solved anew, where that was possible. px_per_m: (K, C) image scale at the body.
    """
    blames = [
        Blame(Cause.CALIBRATION, (), (), _BARELY, remark, "nothing against it", "Calibrate again with the board")
        for remark in remarks
    ]
    warning = drift_warning(drift, trial)
    if warning is None:
        return blames
    found, _, remedy = warning.rpartition("; ")
    if len(drift.suspects) == 1 and not drift.others_moved:
        found = f"{describe_motion(drift.motions[0]).removeprefix(drift.suspects[0]).strip()} since " + (
            drift.since or "its calibration"
        )
        remedy = f"labsys recalibrate {trial}, or calibrate again with the board"
    if repair is not None:
        found += (
            f"; its points lie {repair.before_px:.1f} px from where the others place them, {repair.after_px:.1f} px "
            "once its pose is solved anew"
        )
    scale = px_per_m[np.isfinite(px_per_m)]
    shift_m = drift.motions[0].image_px / float(np.median(scale)) if scale.size else 0.0
    cameras = tuple(dict.fromkeys((*drift.suspects, *drift.others_moved)))
    excess = max(_BARELY, shift_m / normal.noise_m)
    return [Blame(Cause.CALIBRATION, cameras, (), excess, found, "no camera moved", remedy), *blames]


def judge_offsets(views: ViewErrors, cameras: Sequence[str], normal: Normal) -> list[Blame]:
    """Cameras whose points all lie off the same way, as no detector errs: the camera or its picture is elsewhere."""
    blames = []
    for c, camera in enumerate(cameras):
        offset = views.offset_px[:, c]
        offset = offset[np.isfinite(offset).all(axis=1)]
        if len(offset) < _FEWEST_ONE_WAY:
            continue
        x, y = np.median(offset, axis=0)
        size_px = float(np.hypot(x, y))
        size_m = size_px / float(np.nanmedian(views.px_per_m[:, c]))
        if size_m > normal.offset_m and size_px > normal.one_way * np.median(np.linalg.norm(offset, axis=1)):
            sides = f"{abs(x):.0f} px {'right' if x > 0 else 'left'}, {abs(y):.0f} px {'down' if y > 0 else 'up'}"
            found = f"all its points lie off the same way, {sides} ({millimetres(size_m):.0f} mm)"
            usual = f"up to {millimetres(normal.offset_m):.0f} mm"
            remedy = "It moved since calibration, or its video is cropped or of another mode: calibrate again"
            blames.append(Blame(Cause.CALIBRATION, (camera,), (), size_m / normal.offset_m, found, usual, remedy))
    return blames


def judge_rays(
    views: ViewErrors, cameras: Sequence[str], landmarks: Sequence[str], *, min_cameras: int, normal: Normal
) -> list[Blame]:
    """Landmarks that too few cameras see, or see from one direction only."""
    enough = views.seen.sum(axis=-1) >= min_cameras
    angle = np.nan_to_num(views.angle_rad)
    seldom = np.where(views.seen.any(axis=(0, 2)), (~enough).mean(axis=0), 0.0)
    in_line = (enough & ~views.found & (angle < _PARALLAX_RAD)).mean(axis=0)
    thin = (views.found & (angle < normal.thin_angle_rad)).sum(axis=0) / np.maximum(views.found.sum(axis=0), 1)
    blames = _share_blame(
        views,
        cameras,
        landmarks,
        seldom,
        normal.too_few,
        f"seen by fewer than {min_cameras} cameras in {{}} of frames",
        "Turn or add a camera so that two or more always see it; where it is found but not trusted, a lower "
        "reconstruct.min_likelihood helps",
    )
    blames += _share_blame(
        views,
        cameras,
        landmarks,
        in_line,
        normal.too_few,
        "in line with the cameras that see it in {} of frames",
        "Move a camera, or add one, so that two look at it from different sides",
    )
    return blames + _thin_blame(views, landmarks, thin, normal)


def _share_blame(
    views: ViewErrors,
    cameras: Sequence[str],
    landmarks: Sequence[str],
    share: FloatArray,
    limit: float,
    text: str,
    remedy: str,
) -> list[Blame]:
    """One blame for all landmarks whose share of frames is above a limit."""
    bad = [int(k) for k in np.argsort(-share, kind="stable") if share[k] > limit]
    if not bad:
        return []
    blind, named = _blind_cameras(views, bad, cameras), tuple(landmarks[k] for k in bad)
    found, usual = text.format(_range_pct(share[bad])), f"up to {100 * limit:g} %"
    return [Blame(Cause.TRIANGULATION, blind, named, float(share[bad[0]] / limit), found, usual, remedy)]


def _thin_blame(views: ViewErrors, landmarks: Sequence[str], thin: FloatArray, normal: Normal) -> list[Blame]:
    bad = [int(k) for k in np.argsort(-thin, kind="stable") if thin[k] > normal.thin]
    if not bad:
        return []
    angle = degrees(float(np.nanmedian(views.angle_rad[:, bad])))
    found = f"seen from nearly one direction in {_range_pct(thin[bad])} of its points, {angle:.0f}° between rays"
    usual, remedy = f"{degrees(normal.thin_angle_rad):.0f}° or more", "Move the cameras apart, or add one elsewhere"
    named, excess = tuple(landmarks[k] for k in bad), float(thin[bad[0]] / normal.thin)
    return [Blame(Cause.TRIANGULATION, (), named, excess, found, usual, remedy)]


def _blind_cameras(views: ViewErrors, landmarks: list[int], cameras: Sequence[str]) -> tuple[str, ...]:
    """Cameras that see these landmarks in less than half of the frames."""
    seen = views.seen[:, landmarks].mean(axis=(0, 1))
    return tuple(name for c, name in enumerate(cameras) if seen[c] < 0.5)


def _range_pct(shares: FloatArray) -> str:
    low, high = 100 * shares.min(), 100 * shares.max()
    return f"{high:.0f} %" if round(low) == round(high) else f"{low:.0f}-{high:.0f} %"


def judge_disagreement(
    views: ViewErrors, landmarks: Sequence[str], *, blamed: frozenset[str], normal: Normal
) -> list[Blame]:
    """Landmarks about which no two cameras agree, where no other blame says why. blamed: landmarks named already."""
    apart = views.seen.sum(axis=-1) >= 2
    apart &= ~views.found & (np.nan_to_num(views.angle_rad) >= _PARALLAX_RAD)
    share = apart.mean(axis=0)
    bad = [int(k) for k in np.argsort(-share) if share[k] > normal.too_few and landmarks[k] not in blamed]
    if not bad:
        return []
    return [
        Blame(
            Cause.TRIANGULATION,
            (),
            tuple(landmarks[k] for k in bad),
            float(share[bad[0]] / normal.too_few),
            f"no two cameras agree about it in {_range_pct(share[bad])} of frames; which is wrong cannot be told",
            f"up to {100 * normal.too_few:g} %",
            "Look at the picture (--picture); a third camera would tell",
        )
    ]


def measure_limbs(found: Landmarks3D) -> dict[tuple[str, str], tuple[float, float]]:
    """Limb -> median and spread (a standard deviation) of its length, m; few bad frames count little."""
    limbs = {}
    for i, j in bones_of(found.landmarks):
        length = np.linalg.norm(found.xyz_m[:, i] - found.xyz_m[:, j], axis=-1)
        known = length[np.isfinite(length)]
        if known.size >= max(10, 0.1 * length.size):
            low, middle, high = np.percentile(known, [5.0, 50.0, 95.0])
            limbs[found.landmarks[i], found.landmarks[j]] = (float(middle), float((high - low) / _NORMAL_5_TO_95))
    return limbs


def judge_limbs(
    limbs: Mapping[tuple[str, str], tuple[float, float]], *, blamed: frozenset[str], normal: Normal
) -> list[Blame]:
    """Limbs that change their length, where no other blame says why. blamed: landmarks named already."""
    blames = []
    for (a, b), (length, sd) in limbs.items():
        excess = min(sd / (normal.limb * length), sd / normal.limb_m)
        if excess > 1.0 and not {a, b} & blamed:
            found = f"its length varies by {millimetres(sd):.0f} mm (of {millimetres(length):.0f} mm)"
            usual = f"up to {100 * normal.limb:g} % or {millimetres(normal.limb_m):.0f} mm"
            remedy = "One of the two is placed wrongly in several cameras alike: look at the picture (--picture)"
            blames.append(Blame(Cause.TRIANGULATION, (), (a, b), excess, found, usual, remedy))
    return sorted(blames, key=lambda blame: -blame.excess)[:_NAMED]
