"""The simulated server beside a run."""

import os
from pathlib import Path

import pytest

from mics_ray.local.launch import simulated_server


@pytest.mark.parametrize("before", [None, 0o644])
def test_its_log_is_the_owners_alone_whatever_the_umask(tmp_path: Path, before: int | None) -> None:
    log = tmp_path / "server.log"
    if before is not None:
        log.touch(before)
    usual = os.umask(0)
    try:
        with simulated_server(log) as url:
            assert url.startswith("http://127.0.0.1:")
    finally:
        os.umask(usual)
    assert log.stat().st_mode & 0o777 == 0o600
    assert "listening" in log.read_text()
