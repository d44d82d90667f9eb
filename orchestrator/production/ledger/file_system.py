"""Where a database file must not lie: file systems that several machines share."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.errors import ProductionError

__all__ = ["network_file_system", "refuse_network_file_system"]

_NETWORK = frozenset(
    {
        "nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "lustre", "gpfs", "beegfs", "ceph",
        "glusterfs", "afs", "openafs", "9p", "pvfs2", "orangefs", "panfs", "ocfs2", "gfs2", "wekafs", "dvs", "davfs",
        "virtiofs", "vboxsf", "prl_fs", "fuse",
    }
)  # fmt: skip
# The root of a container without privileges, a local disk.
_LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs", "fuseblk"})
_MOUNTS = Path("/proc/mounts")


def network_file_system(path: Path, mounts: str) -> str:
    """Return the type of the network file system that holds a path, empty if it is a local one.

    Parameters
    ----------
    path : Path
        Absolute, symbolic links resolved.
    mounts : str
        Text as in ``/proc/mounts``.
    """
    kind, longest = "", -1
    for line in mounts.splitlines():
        words = line.split()
        if len(words) < 3:
            continue
        # Blanks and backslashes of a mount point are written as octal numbers.
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), words[1]))
        # Of two mounts on one point the later one is seen.
        if path.is_relative_to(point) and len(point.parts) >= longest:
            kind, longest = words[2], len(point.parts)
    if kind in _LOCAL_FUSE:
        return ""
    return kind if kind in _NETWORK or kind.startswith("fuse.") else ""


def refuse_network_file_system(path: Path) -> None:
    """Refuse a SQLite ledger on a network file system, where its locks and its log do not work.

    Raises
    ------
    ProductionError
    """
    try:
        mounts = _MOUNTS.read_text()
    except OSError:
        return  # not Linux
    kind = network_file_system(path.resolve(), mounts)
    if kind:
        msg = (
            f"The ledger {str(path)!r} would lie on a network file system ({kind}), where SQLite loses data. "
            "Give the run file 'ledger: sqlite:////LOCAL/DISK/NAME.sqlite', a place on a disk of the machine that "
            "drives the production, or 'ledger: postgresql+psycopg://USER@HOST/DATABASE'."
        )
        raise ProductionError(msg)
