"""What a rig is: cameras, ports, modes, controls and synchronisation, as one strict file."""

from __future__ import annotations

from pathlib import Path

from labsys.capture.genicam import GenicamRig
from labsys.capture.strict_yaml import check_schema, parse_section, read_mapping
from labsys.capture.uvc import UvcRig
from labsys.core.errors import UnknownNameError

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
