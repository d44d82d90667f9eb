"""File systems that several machines share are found in the list of mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.production.ledger.file_system import network_file_system

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/local xfs rw 0 0
mds@o2ib:/scratch /scratch lustre rw 0 0
gpfs /p/project gpfs rw 0 0
//server/share /mnt/with\\040blank cifs rw 0 0
sshfs#host: /mnt/remote fuse.sshfs rw 0 0
overlay /containers fuse.fuse-overlayfs rw 0 0
/dev/sdc1 /usb fuseblk rw 0 0
server:/old /mnt/twice nfs rw 0 0
/dev/sdd1 /mnt/twice ext4 rw 0 0
half a line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/ledger.sqlite", ""),
        ("/tmp/ledger.sqlite", ""),
        ("/home/me/run/ledger.sqlite", "nfs4"),
        ("/home/local/ledger.sqlite", ""),
        ("/homes/ledger.sqlite", ""),
        ("/scratch/u/ledger.sqlite", "lustre"),
        ("/p/project/x", "gpfs"),
        ("/mnt/with blank/x", "cifs"),
        ("/mnt/remote/x", "fuse.sshfs"),
        ("/containers/x", ""),
        ("/usb/x", ""),
        ("/mnt/twice/x", ""),
    ],
)
def test_the_mount_that_holds_a_path_decides(path, kind):
    assert network_file_system(Path(path), MOUNTS) == kind


def test_no_mounts_are_no_reason_to_refuse():
    assert network_file_system(Path("/home/me"), "") == ""
