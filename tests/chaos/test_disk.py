"""A disk that is full in the middle of a run: it stops paying, says so, and goes on when there is room."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.conftest import LATENCY_S, SETTINGS, Calm, join_run
from tests.support.faulty_provider import FaultyProvider
from tests.support.ray_nodes import RayNodes

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="mounting a small disk needs root"),
]

SMALL, LARGE = "1536k", "256m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds a part of a run."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("this machine does not let us mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_ends_with_74_and_with_more_room_the_same_command_goes_on(
    tmp_path: Path, disk: Path, shared_ray: RayNodes, calm_run: Calm
) -> None:
    run = join_run(tmp_path, shared_ray, disk / "run")
    with FaultyProvider(latency_s=LATENCY_S) as provider:
        provider.write_groups(tmp_path / "conf", **SETTINGS)
        full = run.to_end()
        assert full.returncode == 74, full.stdout + full.stderr
        assert "Traceback" not in full.stderr
        assert 0 < len(provider.times) < calm_run.calls
        subprocess.run(["mount", "-o", f"remount,size={LARGE}", disk], check=True)
        done = run.to_end()
        assert done.returncode == 0, done.stderr
    assert run.result() == calm_run.result
    assert provider.repaid() <= provider.permits, "what was under way when the disk was full"
