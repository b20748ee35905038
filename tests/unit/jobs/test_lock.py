import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mics_ray.jobs.lock import LockHeld, RunLock

HOLD = """
import sys
from pathlib import Path
from mics_ray.jobs.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with RunLock(path), pytest.raises(LockHeld, match=f"process {os.getpid()} on "):
        RunLock(path)
    again = RunLock(path)
    again.release()
    again.release()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    other = subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LockHeld, match=f"process {other.pid} "):
            RunLock(path)
    finally:
        other.send_signal(signal.SIGKILL)
        other.communicate()
    assert path.exists()
    RunLock(path).release()


def test_a_lock_does_not_pass_to_children(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = RunLock(path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        lock.release()
        RunLock(path).release()
    finally:
        child.communicate(b"\n")
