"""A job is one function: a toy one of a few lines has folder, identity, window, commits, resume, stop and exit code."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pyarrow as pa
import pytest

from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, EXIT_STOPPED, LockedRun, RefusedRun
from mics_ray.io.shards.committed import committed_ids
from mics_ray.io.shards.kind import RowKind
from mics_ray.io.shards.reading import iter_rows
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs.job_end import ENDS, JobEnd, describe_end
from mics_ray.jobs.row_writer import Row, RowWriter
from mics_ray.jobs.run_folder import hold_folder
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.jobs.window import make_rows
from mics_ray.models.types import Failure, Refused
from tests.support.processes import until

SQUARES = RowKind(pa.schema([("id", pa.string()), ("square", pa.int64()), ("config_digest", pa.string())]), "id")
COUNT = 300
MakeRow = Callable[[int], Awaitable[Row | None]]


async def square(number: int) -> Row:
    return {"id": str(number), "square": number**2, "config_digest": "unused"}


def run_squares(folder: Path, make_row: MakeRow = square, power: int = 2) -> JobEnd:
    """The toy job."""
    stop = StopSignal()
    with hold_folder(str(folder), "squares.dir") as place, stop.handle_signals():
        place.bind_identity({"power": power}, f"power: {power}\n", "squares.dir", SQUARES)
        done = committed_ids(place.results, SQUARES)
        pending = [number for number in range(COUNT) if str(number) not in done]
        try:
            asyncio.run(make_rows(pending, make_row, RowWriter(ShardStore(place.results, SQUARES)), 8, stop))
        except ENDS as error:
            return describe_end(error)
    return JobEnd(EXIT_OK, "")


def squares(folder: Path) -> dict[str, int]:
    found = list(iter_rows(folder / "results", kind=SQUARES))
    by_id = {row["id"]: row["square"] for row in found}
    assert len(by_id) == len(found), "a record has two rows"
    return by_id


ALL = {str(number): number**2 for number in range(COUNT)}


def test_every_record_has_its_row_and_a_job_that_is_done_does_nothing(tmp_path: Path) -> None:
    asked = []

    async def watched(number: int) -> Row:
        asked.append(number)
        return await square(number)

    assert run_squares(tmp_path, watched) == JobEnd(EXIT_OK, "")
    assert squares(tmp_path) == ALL
    assert run_squares(tmp_path, watched).code == EXIT_OK
    assert asked == list(range(COUNT))
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()} == {0o600}


def test_another_configuration_and_a_second_process_are_refused(tmp_path: Path) -> None:
    assert run_squares(tmp_path).code == EXIT_OK
    with pytest.raises(RefusedRun, match=r"give another squares.dir, or go back to:\n  power: 2 -> 3"):
        run_squares(tmp_path, power=3)
    with hold_folder(str(tmp_path), "squares.dir"), pytest.raises(LockedRun, match=r"give another squares\.dir"):
        run_squares(tmp_path)


HANGING = """
import asyncio, sys
from pathlib import Path
from tests.unit.jobs.test_job import run_squares, square

async def hanging(number):
    if number >= 100:
        (Path(sys.argv[1]) / f"reached-{number}").touch()
        await asyncio.sleep(600)
    return await square(number)

end = run_squares(Path(sys.argv[1]), hanging)
print(end.message)
sys.exit(end.code)
"""


@pytest.mark.heavy
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_or_killed_job_keeps_its_rows_and_goes_on(tmp_path: Path, number: int) -> None:
    job = subprocess.Popen([sys.executable, "-c", HANGING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        until(lambda: len(list(tmp_path.glob("reached-*"))) == 8)
        if number == signal.SIGKILL:
            until(lambda: len(squares(tmp_path)) == 100)  # the age of the last rows brings them to the disk
        job.send_signal(number)
        told, _ = job.communicate(timeout=60)
    finally:
        job.kill()
    assert job.returncode == (-signal.SIGKILL if number == signal.SIGKILL else EXIT_STOPPED)
    assert number == signal.SIGKILL or "the same command goes on" in told
    assert squares(tmp_path) == {name: found for name, found in ALL.items() if int(name) < 100}
    asked = []

    async def watched(one: int) -> Row:
        asked.append(one)
        return await square(one)

    assert run_squares(tmp_path, watched).code == EXIT_OK
    assert asked == list(range(100, COUNT))
    assert squares(tmp_path) == ALL


def test_the_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async def stubborn(number: int) -> Row:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        return await square(number)

    with pytest.raises(KeyboardInterrupt):
        run_squares(tmp_path, stubborn)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (Refused(Failure("auth", "401")), 78, "auth: 401; what was paid is kept, the same command goes on"),
        (Refused(Failure("budget", "spent")), EXIT_STOPPED, "the same command with more budget_usd goes on"),
        (OSError(28, "No space left on device", "x"), EXIT_CANNOT_WRITE, "No space left on device (x)"),
    ],
)
def test_the_first_error_ends_the_job_with_its_code_and_the_rows_before_it(
    tmp_path: Path, error: Exception, code: int, words: str
) -> None:
    async def failing(number: int) -> Row:
        if number == 70:
            raise error
        return await square(number)

    end = run_squares(tmp_path, failing)
    assert (end.code, words in end.message) == (code, True)
    assert {str(number) for number in range(70)} <= squares(tmp_path).keys() < ALL.keys()
    assert run_squares(tmp_path).code == EXIT_OK
    assert squares(tmp_path) == ALL


def test_an_error_of_ours_is_no_end_and_keeps_the_rows_too(tmp_path: Path) -> None:
    async def failing(number: int) -> Row:
        if number == 70:
            raise ZeroDivisionError
        return await square(number)

    with pytest.raises(ZeroDivisionError):
        run_squares(tmp_path, failing)
    assert len(squares(tmp_path)) >= 70
