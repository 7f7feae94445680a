"""Landmarks by a model pack: DeepLabCut in a process of its own; what was looked at before is not looked at again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import labsys.storage
from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError, MissingPartError
from labsys.core.landmark_contract import check_landmarks
from labsys.core.pose_model import CropMode
from labsys.core.progress import Progress, begin_cameras
from labsys.storage.atomic import hash_file, is_there, make_folder, read_json, write_json_atomic
from labsys.storage.exchange.dlc import read_dlc, write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack, clean_landmarks
from labsys.storage.lab import Lab
from labsys.storage.locks import hold_lock
from labsys.storage.models import StoredModel, list_models, load_model, models_folder, verify_model
from pipelines.config import CropChoice, PipelineConfig
from pipelines.pose.job import JobCamera, PoseJob
from pipelines.pose.parts import Parts
from pipelines.pose.process import WORKER, WorkDone, run_job
from pipelines.pose.public import PUBLIC_MODELS, public_folder, say_how_to_get
from pipelines.pose2d import PoseEstimate, PoseVideo

# Sources that decide what is found in a frame.
_LOOKING = ("backbones.py", "dlc.py", "inference.py", "job.py", "lighten.py", "person.py", "views.py")
_RUNNING = ("deeplabcut", "torch", "timm")
_SCORER = "labsys"


@dataclass(frozen=True)
class DeepLabCutEstimator:
    """A model pack as the pipeline uses it.

    Attributes:
        cache: folder for what was found; may be deleted at any time. crop: None as the model was trained.
        batch_size: frames at once, halved where memory does not hold them. device: "" a GPU where torch sees one.
        command: starts the network's process.
    """

    stored: StoredModel
    cache: Path
    crop: CropMode | None = None
    batch_size: int = 16
    device: str = ""
    command: Sequence[str] = field(default=WORKER)

    @property
    def identity(self) -> str:
        """Name and digest of the model."""
        return self.stored.identity

    @property
    def parameters(self) -> Mapping[str, str]:
        """The model's name and digest, and how frames are shown to it; batch and device decide nothing."""
        return {
            "pose2d.model": self.stored.name,
            "pose2d.model_sha256": self.stored.model.digest,
            "pose2d.crop": self._shown.value,
        }

    @property
    def scorer(self) -> str:
        """Who found the landmarks, as DeepLabCut's files name it."""
        return f"{_SCORER}_{self.stored.name}_{self.stored.model.digest[:12]}"

    def estimate(self, videos: Sequence[PoseVideo], *, afresh: bool, progress: Progress) -> PoseEstimate:
        """Look at every frame of every video that was not looked at before.

        Raises:
            MissingPartError: DeepLabCut is not installed. InputError: model or video cannot be used.
            LabsysError: the network's process died; started again it goes on where it was.
        """
        keys = {video.camera: self._key(video) for video in videos}
        make_folder(self.cache)
        with ExitStack() as held:
            # Two cameras of one and the same video are one search.
            for key, camera in sorted({key: camera for camera, key in keys.items()}.items()):
                held.enter_context(hold_lock(self.cache / f"{key}.lock", what=f"the search in the video of {camera}"))
            kept = {} if afresh else self._kept(videos, keys)
            open_videos = tuple({keys[v.camera]: v for v in videos if v.camera not in kept}.values())
            done = self._look(open_videos, keys, progress) if open_videos else None
            made = {keys[v.camera]: self._keep(v, keys[v.camera], done) for v in open_videos if done is not None}
        found = {v.camera: kept[v.camera] if v.camera in kept else made[keys[v.camera]] for v in videos}
        tracks = {v.camera: self._renamed(found[v.camera][0]) for v in videos}
        details = {
            "model": self.stored.name,
            "model_sha256": self.stored.model.digest,
            "knows": self.stored.model.knows,
            "cameras": {v.camera: found[v.camera][1] for v in videos},
        }
        return PoseEstimate(tracks, self.scorer, details, done.notes if done else ())

    @property
    def _shown(self) -> CropMode:
        return self.stored.model.crop if self.crop is None else self.crop

    def _key(self, video: PoseVideo) -> str:
        parts = {
            "video": video.sha256,
            "n_frames": video.n_frames,
            "model": self.stored.model.digest,
            "shown": self._shown.value,
            "code": _code_identity(),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _kept(
        self, videos: Sequence[PoseVideo], keys: Mapping[str, str]
    ) -> dict[str, tuple[CameraTrack, dict[str, Any]]]:
        return {camera: entry for camera, entry in self._entries(videos, keys) if entry is not None}

    def _entries(
        self, videos: Sequence[PoseVideo], keys: Mapping[str, str]
    ) -> Iterator[tuple[str, tuple[CameraTrack, dict[str, Any]] | None]]:
        for video in videos:
            table, note = self.cache / f"{keys[video.camera]}.h5", self.cache / f"{keys[video.camera]}.json"
            if is_there(table) and is_there(note):
                yield video.camera, _believed(table, note, video.n_frames)

    def _look(self, videos: Sequence[PoseVideo], keys: Mapping[str, str], progress: Progress) -> WorkDone:
        if tuple(self.command) == WORKER:
            require_deeplabcut()
        model = self.stored.model
        job = PoseJob(
            snapshot=str(self.stored.snapshot),
            config=str(self.stored.config),
            body_parts=model.body_parts,
            cameras=tuple(
                JobCamera(v.camera, str(v.path), v.n_frames, str(self._parts(keys[v.camera]))) for v in videos
            ),
            net_input_px=model.net_input_px,
            crop=self._shown,
            batch_size=self.batch_size,
            device=self.device,
            detector="" if self.stored.detector is None else str(self.stored.detector),
            detect_every=model.detect_every,
        )
        folder = self._parts(min(keys[v.camera] for v in videos))
        make_folder(folder)
        progress.stage("load the model", 1)
        bars: dict[str, Progress] = {}

        def ready() -> None:
            progress.advance()
            bars.update(begin_cameras(progress, "find landmarks", {v.camera: v.n_frames for v in videos}))

        return run_job(
            job, folder, ready=ready, advance=lambda camera, n: bars[camera].advance(n), command=self.command
        )

    def _keep(self, video: PoseVideo, key: str, done: WorkDone) -> tuple[CameraTrack, dict[str, Any]]:
        """Turn a video's parts into an entry of the cache, and remove them."""
        parts = Parts(self._parts(key), n_frames=video.n_frames, n_landmarks=len(self.stored.model.body_parts))
        track = _track(self.stored.model.body_parts, parts.complete(), where=str(video.path))
        table = self.cache / f"{key}.h5"
        write_dlc_h5(table, track, scorer=self.scorer)
        made = {"video_sha256": video.sha256, "n_frames": video.n_frames, "shown": self._shown.value}
        note = {**made, **asdict(done), "notes": list(done.notes), "table_sha256": hash_file(table)}
        write_json_atomic(self.cache / f"{key}.json", note)
        shutil.rmtree(self._parts(key), ignore_errors=True)
        return track, note

    def _parts(self, key: str) -> Path:
        return self.cache / f"{key}.parts"

    def _renamed(self, track: CameraTrack) -> CameraTrack:
        return CameraTrack(
            self.stored.model.landmarks, track.xy_px, track.confidence, track.first_frame, f"model {self.identity}"
        )


def open_estimator(lab: Lab, model: str, crop: CropMode | None = None) -> DeepLabCutEstimator:
    """The estimator of a lab's model; "" is the only one that the lab has.

    Raises:
        MissingPartError: the lab has no model. InputError: several and none named, or the pack is damaged or gives no
            measure at all. UnknownNameError.
    """
    stored = find_model(lab, model)
    verify_model(stored)
    if check_landmarks(stored.model.landmarks).tier is None:
        raise InputError(
            f"landmarks of model {stored.name} give no measure: {', '.join(stored.model.landmarks)}",
            remedy=f"See what is missing with 'labsys model check {stored.name}'",
        )
    if (crop or stored.model.crop) is CropMode.FOLLOW and stored.model.net_input_px is None:
        raise InputError(f"model {stored.name} has no network input size, so no box can be shown to it")
    if crop is CropMode.NONE and stored.detector is not None:
        raise InputError(f"model {stored.name} is shown the people that its detector finds, never a whole frame")
    return DeepLabCutEstimator(stored, lab.root / "cache" / "pose2d", crop)


def open_configured(lab: Lab, config: PipelineConfig) -> DeepLabCutEstimator:
    """The estimator that a configuration names (errors as `open_estimator`)."""
    crop = config.pose2d.crop
    return open_estimator(lab, config.pose2d.model, None if crop is CropChoice.MODEL else CropMode(crop.value))


def find_model(lab: Lab, name: str) -> StoredModel:
    """A lab's model by its name; "" is its only one.

    Raises:
        MissingPartError: the lab has no model, or a public one that it has not added yet. InputError: several and none
            named. UnknownNameError.
    """
    public = PUBLIC_MODELS.get(name)
    if public is not None and name not in list_models(lab):
        raise MissingPartError(
            f"public model {name} is not among the lab's models",
            where=str(models_folder(lab)),
            remedy=say_how_to_get(public, public_folder(public)),
        )
    return load_model(lab, name or only_model(lab))


def only_model(lab: Lab) -> str:
    """Name of the lab's only model (MissingPartError: none; InputError: several)."""
    names = list_models(lab)
    if not names:
        raise MissingPartError(
            "there are no 2D landmarks, and the lab has no model to find them in the videos",
            where=str(models_folder(lab)),
            remedy="Copy a model pack there, see 'labsys model add', or import 2D landmarks with --landmarks2d "
            "(DeepLabCut h5/csv or OpenPose)",
        )
    if len(names) > 1:
        raise InputError(f"the lab has several models: {', '.join(names)}", remedy="Name one with --model")
    return names[0]


def require_deeplabcut() -> None:
    """MissingPartError unless DeepLabCut is installed; it is not imported, which would take a minute."""
    if importlib.util.find_spec("deeplabcut") is None:
        raise MissingPartError(
            "finding landmarks in video needs DeepLabCut, which is not installed", remedy="pip install 'labsys[pose]'"
        )


def _believed(table: Path, note: Path, n_frames: int) -> tuple[CameraTrack, dict[str, Any]] | None:
    """An entry of the cache; None where it is damaged or not whole: then the video is looked at again."""
    try:
        told = read_json(note)
        if told.get("table_sha256") != hash_file(table):
            return None
        track = read_dlc(table)
    except InputError:
        return None
    return (track, {**told, "from_cache": True}) if track.n_frames == n_frames else None


def _track(body_parts: tuple[str, ...], poses: FloatArray, *, where: str) -> CameraTrack:
    likelihood = np.where(np.isfinite(poses[..., 2]), np.clip(poses[..., 2], 0.0, 1.0), 0.0)
    xy_px, confidence = clean_landmarks(poses[..., :2], likelihood, where=where)
    return CameraTrack(body_parts, xy_px, confidence)


def _code_identity() -> str:
    """Versions of what runs a network, and a digest of the sources that show frames to it."""
    versions = {name: importlib.metadata.version(name) for name in _RUNNING if importlib.util.find_spec(name)}
    digest = hashlib.sha256(json.dumps(versions, sort_keys=True).encode())
    for path in (Path(__file__).parent / "pose" / name for name in _LOOKING):
        digest.update(path.read_bytes())
    digest.update((Path(labsys.storage.__file__).parent / "video.py").read_bytes())
    return digest.hexdigest()
