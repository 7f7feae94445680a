"""What a rig is: cameras, ports, modes, controls and synchronisation, as one strict file."""

from __future__ import annotations

from pathlib import Path

from labsys.capture.genicam import GenicamRig
from labsys.capture.rig_base import HardwareTrigger, PrimaryCamera
from labsys.capture.strict_yaml import check_schema, parse_section, read_mapping
from labsys.capture.uvc import UvcRig
from labsys.core.errors import InputError, UnknownNameError

RIG_SCHEMA = "labsys.hardware/1"

Rig = UvcRig | GenicamRig
RIG_TYPES: dict[str, type[UvcRig] | type[GenicamRig]] = {
    "v4l2": UvcRig,
    "opencv": UvcRig,
    "virtual": UvcRig,
    "genicam": GenicamRig,
}


def load_rig_config(path: Path) -> Rig:
    """Read and check a rig file.

    Raises:
        UnknownNameError: an unknown key, driver, camera or control; names the nearest valid one.
        NewerSchemaError: written for a newer labsys.
        InputError: unreadable, or a rule of hardware_configs/README.md is broken.
    """
    content = read_mapping(path)
    check_schema(content, schema=RIG_SCHEMA, path=path)
    driver = content.get("driver")
    if driver not in RIG_TYPES:
        raise UnknownNameError("driver", str(driver), valid=RIG_TYPES, where=str(path))
    return parse_section(RIG_TYPES[driver], content, path=path)


def find_rig_file(folder: Path, text: str) -> Path:
    """A rig file by its path, or by its name in a folder of rigs.

    Raises:
        UnknownNameError: no such rig; names the nearest.
    """
    path = Path(text).expanduser()
    if path.is_file():
        return path
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if text not in known:
        raise UnknownNameError("rig", text, valid=known, where=str(folder))
    return folder / f"{text}.yaml"


def load_recordable_rig(path: Path) -> Rig:
    """A rig that the recorder can record with (errors: as `load_rig_config`).

    Raises:
        InputError: a rig whose cameras or trigger box labsys reads but does not drive yet.
    """
    rig = load_rig_config(path)
    if isinstance(rig, GenicamRig):
        _check_genicam(rig, path)
    if isinstance(rig.sync, PrimaryCamera) or (isinstance(rig.sync, HardwareTrigger) and rig.sync.source != "virtual"):
        raise InputError(
            f"pulses of {rig.sync.mode} are not made yet: the trigger box has no firmware",
            where=str(path),
            remedy="Use sync: {mode: free_run}",
        )
    return rig


def _check_genicam(rig: GenicamRig, path: Path) -> None:
    """Refuse what the file may say and the driver does not do: another library, pictures it cannot encode, no rate."""
    if rig.genicam.backend != "pypylon":
        raise InputError(f"backend {rig.genicam.backend} is not driven yet", where=str(path), remedy="Use pypylon")
    try:
        assert rig.nodes is not None
        for camera in rig.cameras:
            rig.rate_of(camera)
    except InputError as error:
        raise InputError(error.what, where=str(path), remedy=error.remedy) from error
