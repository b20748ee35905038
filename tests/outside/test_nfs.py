"""One cache on a real NFS mount, twice mounted with caches of their own, as by two hosts."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.jobs.test_lease import HOLD, LEASE_S
from tests.unit.models.replies.test_two_hosts import READER, STATS, WRITER, start_program

pytestmark = pytest.mark.outside


def find_obstacle() -> str | None:
    """Why this machine can make no NFS mount."""
    if os.geteuid():
        return "only root mounts"
    known = Path("/proc/filesystems").read_text()
    if lacking := [name for name in ("nfs4", "nfsd") if name not in known.split()]:
        return f"the kernel has no {' and no '.join(lacking)} (neither built in nor as a module that is loaded)"
    programs = [name for name in ("exportfs", "rpc.nfsd", "mount.nfs4") if not shutil.which(name)]
    return f"no {programs[0]} (nfs-kernel-server, nfs-common)" if programs else None


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    if obstacle := find_obstacle():
        pytest.skip(obstacle)
    export, *hosts = (tmp_path / name for name in ("export", "a", "b"))
    for folder in (export, *hosts):
        folder.mkdir()
    subprocess.run(["rpc.nfsd", "2"], check=True)
    subprocess.run(["exportfs", "-o", "rw,insecure,no_root_squash,fsid=17", f"127.0.0.1:{export}"], check=True)
    mounted: list[Path] = []
    try:
        for host in hosts:
            command = ["mount", "-t", "nfs4", "-o", "nosharecache", f"127.0.0.1:{export}", host]
            subprocess.run(command, check=True, timeout=60)
            mounted.append(host)
        yield hosts[0], hosts[1]
    finally:
        for host in mounted:
            subprocess.run(["umount", "-l", host], check=False)
        subprocess.run(["exportfs", "-u", f"127.0.0.1:{export}"], check=False)


def test_two_mounts_share_a_cache(mounts: tuple[Path, Path]) -> None:
    here, there = (mount / "cache" for mount in mounts)
    with start_program(WRITER, here) as writer:
        assert writer.stdin
        assert writer.stdout
        writer.stdin.write("6000\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "6000\n"
        with start_program(READER, there, "replica-x-0", 6000) as reader:
            assert reader.communicate()[0] == "6000\n"
        with start_program(STATS, there) as looked:
            assert "codes [0, 0]" in looked.communicate()[0]
        writer.kill()
    with start_program(READER, there, "endpoint-0", 6000) as successor:
        assert successor.communicate()[0] == "6000\n"


def test_two_mounts_have_one_holder(mounts: tuple[Path, Path]) -> None:
    here, there = (mount / ".lock" for mount in mounts)
    with start_program(HOLD, here, "host-a", LEASE_S) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        with start_program(HOLD, there, "host-b", LEASE_S) as second:
            second.communicate()
        assert second.returncode == 73
        first.communicate()
