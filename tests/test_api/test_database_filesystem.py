"""SQLite is refused where file locks do not reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.database import connection
from api.database.connection import open_database
from api.database.filesystem import network_file_system
from labsys.core.errors import InputError
from labsys.storage.lab import create_lab

MOUNTS = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 22 0:50 / /mnt/clinic rw,relatime shared:3 - nfs4 server:/export rw
41 40 0:51 / /mnt/clinic/local\040disk rw - xfs /dev/sdb1 rw
42 22 0:52 / /srv rw - ext4 /dev/sdc1 rw
43 22 0:53 / /srv rw - cifs //nas/share rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/lab/labsys.db", None),
        ("/mnt/clinic/lab/labsys.db", "nfs4"),
        ("/mnt/clinic/local disk/labsys.db", None),
        ("/mnt/clinical/labsys.db", None),
        ("/srv/labsys.db", "cifs"),
    ],
)
def test_file_system_of_a_path(path: str, expected: str | None, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS, encoding="utf-8")
    assert network_file_system(Path(path), mounts=mounts) == expected


def test_machine_without_a_mount_table_is_not_judged(tmp_path: Path) -> None:
    assert network_file_system(tmp_path, mounts=tmp_path / "absent") is None


def test_sqlite_on_a_network_file_system_is_refused_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = create_lab(tmp_path / "lab")
    monkeypatch.setattr(connection, "network_file_system", lambda _path: "nfs4")
    with pytest.raises(InputError, match="nfs4") as caught:
        open_database(lab)
    assert "PostgreSQL" in caught.value.remedy
    assert not (lab.root / "labsys.db").exists()
