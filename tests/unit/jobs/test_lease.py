"""A run's lock on a disk that two hosts share: never two holders, and the dead are found."""

import errno
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from mics_ray.errors import RefusedRun
from mics_ray.jobs.lease import Claim, ClaimHeld
from mics_ray.jobs.lock import LockHeld, RunLock
from mics_ray.jobs.run_folder import hold_folder
from tests.support.another_host import Host

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(shutil.which("cc") is None, reason="the emulated hosts need a C compiler"),
]
LEASE_S = 3.0
HOLD = """
import sys
from pathlib import Path
from mics_ray.jobs.lock import LockHeld, RunLock
name = sys.argv[2]
if name:  # a host of its own: its processes cannot be looked up from another
    import socket
    socket.gethostname = lambda: name
try:
    lock = RunLock(Path(sys.argv[1]), shared=True, lease_s=float(sys.argv[3]))
except LockHeld as held:
    print("refused", held, flush=True)
    sys.exit(73)
print("held", flush=True)
sys.stdin.read()
try:
    lock.check_held()
except OSError as lost:
    print("lost", lost.strerror, flush=True)
lock.release()
"""


@pytest.mark.parametrize("flock", ["local", "37", "38", "95"])
def test_two_hosts_never_both_hold_it_and_a_clean_end_frees_it_at_once(tmp_path: Path, flock: str) -> None:
    path = tmp_path / ".lock"
    with Host(tmp_path, "a", flock).start(HOLD, path, "host-a", LEASE_S) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        second = Host(tmp_path, "b", flock).run(HOLD, path, "host-b", LEASE_S)
        assert second.returncode == 73, second.stderr
        assert f"process {first.pid} on host-a" in second.stdout
        assert "waiting 3 s for a sign of life" in second.stderr
        assert len(second.stderr.splitlines()) == 1
        first.communicate()
    with Host(tmp_path, "b", flock).start(HOLD, path, "host-b", LEASE_S) as second_try:
        said, told = second_try.communicate()
        assert (said, told) == ("held\n", "")
    assert not Path(f"{path}.lease").exists()


def test_the_claim_of_a_dead_host_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with Host(tmp_path, "a").start(HOLD, path, "host-a", LEASE_S) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        first.kill()
    began = time.monotonic()
    taken = Host(tmp_path, "b").start(HOLD, path, "host-b", LEASE_S)
    assert taken.communicate()[0] == "held\n"
    assert time.monotonic() - began >= LEASE_S, "another host's process cannot be looked up"


def test_a_killed_holder_of_this_host_is_recognised_without_waiting(tmp_path: Path) -> None:
    path, host = tmp_path / ".lock", Host(tmp_path, "a", "37")
    with host.start(HOLD, path, "", 600) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        refused = host.run(HOLD, path, "", 600)
        assert (refused.returncode, refused.stderr) == (73, "")
        first.kill()
    again = host.start(HOLD, path, "", 600)
    assert again.communicate(timeout=100) == ("held\n", "")  # not 600 s


def test_a_killed_holder_that_its_parent_has_not_asked_for_is_recognised_too(tmp_path: Path) -> None:
    """As in containers whose first process reaps nobody: its number still answers to signals."""
    path, host = tmp_path / ".lock", Host(tmp_path, "a", "37")
    with host.start(HOLD, path, "", 600) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        first.kill()
        os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
        again = host.start(HOLD, path, "", 600)
        assert again.communicate(timeout=100) == ("held\n", "")


def test_a_host_that_wakes_up_after_it_was_taken_for_dead_writes_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with Host(tmp_path, "a").start(HOLD, path, "host-a", LEASE_S) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        first.send_signal(signal.SIGSTOP)
        with Host(tmp_path, "b").start(HOLD, path, "host-b", LEASE_S) as second:
            assert second.stdout
            assert second.stdout.readline() == "held\n"
            first.send_signal(signal.SIGCONT)
            assert first.wait(timeout=60) == 75
            assert first.stderr
            assert "another host has taken the run over" in first.stderr.read()
            assert Path(f"{path}.lease").exists(), "it is the other's"
            second.communicate()


def test_a_lock_is_lost_for_its_holder_as_soon_as_the_claim_names_another(tmp_path: Path) -> None:
    lost: list[bool] = []
    claim = Claim(tmp_path / "c", 60, print, lambda: lost.append(True))
    assert not claim.is_lost()
    with pytest.raises(ClaimHeld, match=f"process {os.getpid()}"):
        Claim(tmp_path / "c", 60, print, lambda: None)
    text = (tmp_path / "c").read_text()
    (tmp_path / "c").write_text(text.replace("token=", "token=0"))
    assert claim.is_lost()
    claim.release()
    assert socket.gethostname() in text


def test_an_earlier_version_that_holds_the_file_is_respected(tmp_path: Path) -> None:
    earlier = subprocess.Popen(
        ["flock", tmp_path / ".lock", "sh", "-c", "echo held; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert earlier.stdout
    assert earlier.stdout.readline() == b"held\n"
    with pytest.raises(LockHeld):
        RunLock(tmp_path / ".lock", shared=True)
    earlier.communicate()


def test_a_file_system_without_record_locks_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with (
        pytest.raises(RefusedRun, match=r"run\.dir: the file system of .* has no record locks"),
        hold_folder(str(tmp_path / "run"), "run.dir"),
    ):
        pass
    assert not list((tmp_path / "run/cache").iterdir())
