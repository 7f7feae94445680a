"""2D landmarks of a take: those that were imported with it."""

from __future__ import annotations

from labsys.core.errors import InputError, MissingPartError
from labsys.core.session import TrialName
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.lab import Lab, take_folder
from labsys.storage.runs import hash_file
from labsys.storage.takes import Take, load_landmarks2d


def find_landmarks2d(lab: Lab, name: TrialName, take: Take) -> dict[str, CameraTrack]:
    """The take's 2D landmarks by camera.

    Raises:
        MissingPartError: the take has videos alone, and no pose estimator is there to look at them.
        InputError: a file was changed after its import.
    """
    if not take.landmarks2d:
        raise MissingPartError(
            f"trial {name} has videos but no 2D landmarks",
            remedy="Import it with --landmarks2d (DeepLabCut h5/csv or OpenPose); finding landmarks in video needs the "
            "extra 'pose' and a model, which this version does not use yet",
        )
    for file in take.landmarks2d.values():
        path = take_folder(lab, name) / file.path
        if hash_file(path) != file.sha256:
            raise InputError("was changed after its import", where=str(path), remedy="Restore it from a backup")
    return {camera: load_landmarks2d(lab, name, camera) for camera in take.landmarks2d}
