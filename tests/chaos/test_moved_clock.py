"""The wall clock of a machine is moved by an hour, forth and back, in the middle of a run."""

import json
import shutil
import struct
import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest

from mics_ray.runtime.monitor.watch_folder import FolderWatch
from tests.chaos.conftest import CASES, LATENCY_S, PATIENT, Calm
from tests.support.faulty_provider import FaultyProvider
from tests.support.processes import until
from tests.support.whole_run import WholeRun

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(shutil.which("cc") is None, reason="the stand-in for the clock needs a C compiler"),
]

PER_MINUTE = 3000
HOUR_S = 3600


class MovedClock:
    """The wall clock of processes that are started from here on; this test's own clock stays."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._file = folder / "moved_s"
        library = folder / "moved_clock.so"
        source = Path(__file__).with_name("moved_clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        self.move(0)
        patch.setenv("LD_PRELOAD", str(library))
        patch.setenv("MOVED_CLOCK", str(self._file))

    def move(self, seconds: int) -> None:
        """Let it be off by so many seconds."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))


@pytest.fixture
def clock(tmp_path: Path, calm_run: Calm, monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    """After the calm run, whose clock stays."""
    return MovedClock(tmp_path, monkeypatch)


def commit_hours(run: WholeRun) -> set[int]:
    """By how many hours the writer's clock was off when it committed."""
    lines = (run.dir / "logs/cases.jsonl").read_text().splitlines()
    times = (datetime.fromisoformat(json.loads(line)["time"]).timestamp() for line in lines)
    return {round((at - time.time()) / HOUR_S) for at in times}


def test_an_hour_forth_and_two_back_change_nothing(tmp_path: Path, clock: MovedClock, calm_run: Calm) -> None:
    run = WholeRun(tmp_path, CASES, window=3)
    with FaultyProvider(latency_s=LATENCY_S) as provider:
        provider.write_groups(tmp_path / "conf", **PATIENT, requests_per_minute=PER_MINUTE)
        # At a third and at two thirds of the calls more cases are through than the window holds open. They are
        # committed while nobody is answered, and only then the clock is moved.
        provider.hold_when = lambda: len(provider.times) >= calm_run.calls / 3
        before = 0
        with run.start() as started:
            for seconds, share in ((HOUR_S, 2 / 3), (-HOUR_S, 2)):
                until(lambda: provider.held or started.poll() is not None, 300)
                until(lambda before=before: run.committed() > before or started.poll() is not None)
                assert provider.held, f"the run ended before its clock was moved: {run.messages()}"
                clock.move(seconds)
                before = run.committed()
                provider.hold_when = lambda share=share: len(provider.times) >= share * calm_run.calls
                provider.release()
            assert started.wait(300) == 0, run.messages()
    assert commit_hours(run) == {0, 1, -1}, "the clock was moved too late to matter"
    assert run.result() == calm_run.result
    assert provider.repaid() == 0
    assert provider.densest(10.0) <= PER_MINUTE / 6 + PER_MINUTE / 60
    assert FolderWatch(run.dir).read_view().state == "finished"
