"""Whether a path lies on a network file system, where SQLite's locks cannot be trusted."""

from __future__ import annotations

import re
from pathlib import Path

# Types as /proc/self/mountinfo names them. 9p is how a virtual machine sees its host's disk: locks do not reach across.
_NETWORK = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb", "smb3", "smbfs", "9p", "afs", "ncpfs", "ceph", "glusterfs", "lustre", "beegfs"),
        *("gpfs", "orangefs", "pvfs2", "ocfs2", "gfs2", "davfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph"),
        *("fuse.s3fs", "fuse.rclone", "fuse.davfs2", "fuse.smbnetfs", "fuse.juicefs"),
    )
)
_MOUNTS = Path("/proc/self/mountinfo")


def network_file_system(path: Path, *, mounts: Path = _MOUNTS) -> str | None:
    """Name of the network file system that `path` lies on, or None.

    `path` need not exist yet. A machine without a mount table of this kind (macOS, Windows) answers None.
    Source: proc_pid_mountinfo(5): field 5 is the mount point, the file system type follows the separator " - ".
    """
    if not mounts.is_file():
        return None
    place = path.resolve()
    longest, kind = -1, ""
    for line in mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        before, separator, after = line.partition(" - ")
        if not separator:
            continue
        point = Path(_unescape(before.split(" ")[4]))
        # Later lines cover earlier ones at the same point, as later mounts do.
        if place.is_relative_to(point) and len(point.parts) >= longest:
            longest, kind = len(point.parts), after.split(" ")[0]
    return kind if kind in _NETWORK else None


def _unescape(text: str) -> str:
    """Mount points write space, tab, newline and backslash as octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
