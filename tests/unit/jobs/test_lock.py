import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mics_ray.jobs.lock import LockHeld, RunLock
from tests.support.processes import until

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
    with RunLock(path):
        assert path.read_text().startswith(f"process {os.getpid()} on "), "the file says who holds it"


def test_a_lock_does_not_pass_to_children(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = RunLock(path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        until(lambda: os.readlink(f"/proc/{child.pid}/exe") == os.path.realpath(sys.executable), 30)
        assert str(path) in open_files(os.getpid())
        assert str(path) not in open_files(child.pid)
        lock.release()
        with RunLock(path), pytest.raises(LockHeld):
            RunLock(path)
    finally:
        child.communicate(b"\n")
    assert str(path) not in open_files(os.getpid())


def open_files(pid: int) -> set[str]:
    return {os.readlink(descriptor) for descriptor in Path(f"/proc/{pid}/fd").iterdir() if descriptor.is_symlink()}
