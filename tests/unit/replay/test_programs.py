"""The two programs: one run of each in an interpreter that lets nothing out and says what it loaded, the rest here."""

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mics_ray.commands.generate import run_generate
from mics_ray.commands.verify import run_verify
from mics_ray.io.index.ids import IdSet, hash_id
from mics_ray.io.index.shard_index import INDEX
from mics_ray.io.shards.committed import Committed, keep_index, read_committed
from mics_ray.io.shards.reading import iter_rows, list_shards
from mics_ray.private_files import read_json_object
from mics_ray.replay.committed_rows import NOT_CANONICAL
from tests.support.damage import flip
from tests.support.processes import until
from tests.support.program import run_here
from tests.support.recorded_run import forget, overrides
from tests.unit.replay.conftest import CASES

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[3]
GUARDED = """
import runpy, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"):
        raise RuntimeError("reached for the network")
sys.addaudithook(refuse)
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("loaded:", *sorted({"ray", "torch", "vllm", "transformers", "openai"} & set(sys.modules)))
"""


def program(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_KEY")}
    command = [sys.executable, "-c", GUARDED, str(ROOT / "scripts" / name), *arguments]
    told = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert told.stdout.splitlines()[-1] == "loaded:", told.stdout + told.stderr
    return told


def results(run: Path) -> dict[str, dict[str, object]]:
    return {
        row["case_id"]: {name: value for name, value in row.items() if name not in NOT_CANONICAL}
        for row in iter_rows(run / "results")
    }


def damage(run: Path) -> Path:
    path = list_shards(run / "results")[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    return path


def claim_rows(run: Path, ids: set[str]) -> None:
    """An index that is whole and says of every shard that it holds all rows: no check may go by it."""
    (run / "results" / INDEX).unlink(missing_ok=True)
    entries = read_committed(run / "results").entries
    hashes = np.array(sorted(map(hash_id, ids)), np.uint64)
    keep_index(
        run / "results", Committed(IdSet(), Counter(), tuple(replace(one, hashes=hashes) for one in entries), False)
    )


def replay(run: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    return run_here(run_generate, "replay=true", f"run.dir={run}", *more)


def verify(run: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    return run_here(run_verify, f"run.dir={run}", *more)


def generate(made: Path, run: Path) -> "subprocess.CompletedProcess[str]":
    """The command that made ``run``; all of its rows are there, so no Ray starts."""
    return run_here(run_generate, *overrides(made), f"run.dir={run}")


@pytest.fixture(autouse=True)
def _closed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("reached for the network")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)


def test_generate_replays_by_the_command_that_made_the_run(made: Path) -> None:
    told = program("generate.py", *overrides(made), "replay=true")
    assert told.returncode == 0
    assert f"{CASES + 1} cases, each the same as in the run" in told.stdout


def test_generate_replays_from_the_folder_alone_and_tells_where_the_record_ends(run: Path) -> None:
    told = replay(run, "search=best_of_n")
    assert told.returncode == 0
    assert "search.strategy: mics -> best_of_n" in told.stdout
    assert "ends in round 1 of attempt 1" in told.stdout


def test_generate_ends_with_74_where_the_run_s_result_does_not_come_again(run: Path) -> None:
    forget(run, 1.0)
    told = replay(run)
    assert told.returncode == 74
    assert f"the record does not reach {CASES} cases that the run has" in told.stdout


SLOW = """
import asyncio, os, runpy, signal, sys
import mics_ray.replay.cases as cases
signal.signal(signal.SIGINT, signal.SIG_IGN)
cases.OPEN_CASES = 4
real, hanging = cases.run_case, []
async def slow(config, strategy, case, panel):
    if int(case.id.removeprefix("case-")) >= 4:
        hanging.append(case.id)
        if len(hanging) == 4:
            open(os.environ["REACHED"], "x").close()
        await asyncio.sleep(600)
    return await real(config, strategy, case, panel)
cases.run_case = slow
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A program, started with Ctrl-C ignored as in the background of a shell, whose replay hangs after four cases
and makes a file when its window is full of others."""


def stopped(number: int, reached: Path, *command: str) -> tuple[int, str]:
    """The exit code and output of a program that gets a signal in the midst of its replay."""
    program = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(ROOT / "scripts" / command[0]), *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=os.environ | {"REACHED": str(reached)},
    )
    try:
        until(reached.exists, 120)
        program.send_signal(number)
        told, _ = program.communicate(timeout=60)
    finally:
        program.kill()
    return program.returncode, told


def test_a_stopped_replay_ends_with_75_and_the_same_command_goes_on(run: Path, tmp_path: Path) -> None:
    code, told = stopped(signal.SIGINT, tmp_path / "reached", "generate.py", "replay=true", f"run.dir={run}")
    assert code == 75, told
    assert "the same command goes on; the rows so far are kept" in told
    assert "Traceback" not in told
    assert len(results(next((run / "replay").iterdir()))) == 4
    again = replay(run)
    assert again.returncode == 0, again.stdout
    assert f"{CASES + 1} cases, each the same as in the run" in again.stdout
    assert f"{CASES - 3} of {CASES + 1} cases from the record" in again.stderr


def test_a_stopped_repair_ends_with_75_and_the_same_command_goes_on(run: Path, tmp_path: Path) -> None:
    before = results(run)
    for path in list_shards(run / "results"):
        path.unlink()
    code, told = stopped(signal.SIGTERM, tmp_path / "reached", "verify.py", f"run.dir={run}", "--repair")
    assert code == 75, told
    assert "the same command goes on" in told
    assert "Traceback" not in told
    assert len(results(run)) == 4
    assert verify(run, "--repair").returncode == 0
    assert results(run) == before


def test_verify_rebuilds_the_rows_of_a_damaged_shard(run: Path) -> None:
    before, path = results(run), damage(run)
    claim_rows(run, set(before))
    told = verify(run)
    assert (told.returncode, path.exists()) == (74, True)
    told = program("verify.py", f"run.dir={run}", "--repair")
    assert told.returncode == 0, told.stdout
    assert "5 rows rebuilt from the record" in told.stdout
    assert "sound" in told.stdout
    assert not path.exists()
    assert path.with_name(f"{path.name}.damaged").exists()
    assert results(run) == before
    assert verify(run).returncode == 0


def test_the_run_of_a_damaged_shard_ends_with_74_and_says_what_repairs_it(made: Path, run: Path) -> None:
    flip(list_shards(run / "results")[0], "steps")
    told = generate(made, run)
    assert told.returncode == 74, told.stdout + told.stderr
    assert "verify.py run.dir=… --repair" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("name", ["summary", "identity"])
def test_a_file_that_a_loss_of_power_emptied_is_worked_out_again(made: Path, run: Path, name: str) -> None:
    (run / f"{name}.json").write_text("")
    told = generate(made, run)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Traceback" not in told.stderr
    assert read_json_object(run / f"{name}.json")


def test_a_replay_without_the_identity_knows_its_run_by_the_rows(run: Path) -> None:
    (run / "identity.json").write_text("")
    told = replay(run)
    assert told.returncode == 0
    assert "changed against the run" not in told.stdout
    assert f"{CASES + 1} cases, each the same as in the run" in told.stdout


def test_verify_says_where_the_record_does_not_reach_and_leaves_it_to_the_run(run: Path) -> None:
    lost = {row["case_id"] for row in list(iter_rows(run / "results"))[:5]}
    damage(run)
    forget(run, 1.0)
    told = verify(run, "--repair")
    assert told.returncode == 75
    assert "the record does not reach 5 cases" in told.stdout
    assert f"{min(lost)}: the record ends in round 1 of attempt 1" in told.stdout
    assert "5 cases have no row" in told.stdout
    assert lost.isdisjoint(results(run))


def test_verify_rebuilds_nothing_with_another_input(run: Path, tmp_path: Path) -> None:
    damage(run)
    (run / "identity.json").write_text('{"seed": 1}')
    told = verify(run, "--repair")
    assert told.returncode == 75
    assert "no row could be rebuilt from the record" in told.stdout
    assert "another configuration" in told.stdout
