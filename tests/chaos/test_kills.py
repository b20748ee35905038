"""Real processes of a real run are killed; every case still ends as exactly one row, and little is paid twice."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.processes import kill, named, until
from tests.support.program import command, generate, rows
from tests.support.provider import Provider, write_cases

pytestmark = pytest.mark.chaos

CASES = 150
IN_FLIGHT = 24


def arguments(folder: Path) -> list[str]:
    return [
        "--config-dir", str(folder / "conf"), "mentors=test", "interns=test", "judge=test",
        f"data.cases={folder}/cases.jsonl", f"run.dir={folder}/run", "window=12", "ray.workers=2",
    ]  # fmt: skip


def start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(*arguments(folder)),
        stdout=subprocess.DEVNULL,
        stderr=(folder / "stderr").open("a"),
        text=True,
        start_new_session=True,
    )


def committed(folder: Path) -> int:
    return len(list((folder / "run/results").glob("part-*.parquet")))


def result(folder: Path) -> list[list[object]]:
    """What must not depend on faults, row by row."""
    return [
        [row[name] for name in ("case_id", "outcome", "steps", "scores", "mentors", "nodes")]
        for row in rows(folder / "run")
    ]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> list[list[object]]:
    """The result of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("calm")
    write_cases(folder / "cases.jsonl", CASES)
    with Provider(latency_s=0.05) as provider:
        provider.write_groups(folder / "conf", max_in_flight=IN_FLIGHT)
        assert generate(*arguments(folder)).returncode == 0
    found = result(folder)
    assert [row[0] for row in found] == [f"case-{number:04}" for number in range(CASES)]
    return found


def test_the_driver_killed_twice_and_resumed(tmp_path: Path, calm: list[list[object]]) -> None:
    write_cases(tmp_path / "cases.jsonl", CASES)
    with Provider(latency_s=0.05) as provider:
        provider.write_groups(tmp_path / "conf", max_in_flight=IN_FLIGHT)
        for kills in (1, 2):
            with start(tmp_path) as run:
                until(lambda kills=kills, run=run: committed(tmp_path) >= kills or run.poll() is not None)
                assert run.poll() is None, "the run ended before it could be killed"
                kill(run.pid)
        resumed = generate(*arguments(tmp_path))
        assert resumed.returncode == 0, resumed.stderr
        assert result(tmp_path) == calm
        assert provider.repeated() <= 2 * provider.permits


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_keeps_what_was_done_and_the_same_command_goes_on(
    tmp_path: Path, number: signal.Signals, calm: list[list[object]]
) -> None:
    write_cases(tmp_path / "cases.jsonl", CASES)
    with Provider(latency_s=0.05) as provider:
        provider.write_groups(tmp_path / "conf", max_in_flight=IN_FLIGHT)
        with start(tmp_path) as run:
            until(lambda: committed(tmp_path) >= 1 or run.poll() is not None)
            # As a terminal does: Ctrl-C goes to the whole process group.
            stopped = time.monotonic()
            os.killpg(run.pid, number) if number == signal.SIGINT else run.send_signal(number)
            assert run.wait(25) == 75
        assert provider.log[-1]["at"] <= stopped + 1.0, "a call was made after the stop"
        before = len(rows(tmp_path / "run"))
        assert 0 < before < CASES
        resumed = generate(*arguments(tmp_path))
        assert resumed.returncode == 0, resumed.stderr
        assert result(tmp_path) == calm
        assert provider.repeated() == 0, "a clean stop lets paid calls come home"


@pytest.mark.parametrize("actor", ["SearchWorker", "WriterActor", "EndpointActor"])
def test_an_actor_killed_mid_run(tmp_path: Path, actor: str, calm: list[list[object]]) -> None:
    write_cases(tmp_path / "cases.jsonl", CASES)
    with Provider(latency_s=0.05) as provider:
        provider.write_groups(tmp_path / "conf", max_in_flight=IN_FLIGHT)
        with start(tmp_path) as run:
            until(lambda: committed(tmp_path) >= 1 or run.poll() is not None)
            victims = named(run.pid, f"ray::{actor}")
            assert victims, "nothing to kill"
            kill(victims[0])
            assert run.wait(240) == 0, (tmp_path / "stderr").read_text()
        assert result(tmp_path) == calm
        assert provider.repeated() <= provider.permits


def test_a_second_driver_is_turned_away(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", CASES)
    # Slow replies: the first run must outlast the start of the second on a loaded machine.
    with Provider(latency_s=0.5) as provider:
        provider.write_groups(tmp_path / "conf", max_in_flight=IN_FLIGHT)
        with start(tmp_path) as run:
            until(lambda: provider.log)
            second = generate(*arguments(tmp_path))
            assert second.returncode == 73
            assert "another run is writing" in second.stderr
            run.send_signal(signal.SIGINT)
            assert run.wait(60) == 75
