"""The two programs as a person runs them, in interpreters that let nothing out and say what they loaded."""

import os
import subprocess
import sys
from pathlib import Path

from mics_ray.io.shards import iter_rows, shards
from mics_ray.replay.committed import NOT_CANONICAL
from tests.support.recorded_run import forget, overrides
from tests.unit.replay.conftest import CASES

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
    path = shards(run / "results")[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    return path


def test_generate_replays_by_the_command_that_made_the_run(made: Path) -> None:
    told = program("generate.py", *overrides(made), "replay=true")
    assert told.returncode == 0
    assert f"{CASES + 1} cases, each the same as in the run" in told.stdout


def test_generate_replays_from_the_folder_alone_and_tells_where_the_record_ends(run: Path) -> None:
    told = program("generate.py", "replay=true", f"run.dir={run}", "search=best_of_n")
    assert told.returncode == 0
    assert "search.strategy: mics -> best_of_n" in told.stdout
    assert "ends in round 1 of attempt 1" in told.stdout


def test_generate_ends_with_74_where_the_run_s_result_does_not_come_again(run: Path) -> None:
    forget(run, 1.0)
    told = program("generate.py", "replay=true", f"run.dir={run}")
    assert told.returncode == 74
    assert f"the record does not reach {CASES} cases that the run has" in told.stdout


def test_ctrl_c_ends_with_75(run: Path) -> None:
    breaking = """
import os, runpy, signal, sys
import mics_ray.replay.cases as cases
real = cases.searched
async def breaks(*given):
    os.kill(os.getpid(), signal.SIGINT)
    return await real(*given)
cases.searched = breaks
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    command = [sys.executable, "-c", breaking, str(ROOT / "scripts/generate.py"), "replay=true", f"run.dir={run}"]
    told = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=os.environ)
    assert told.returncode == 75, told.stderr
    assert "Traceback" not in told.stderr


def test_verify_rebuilds_the_rows_of_a_damaged_shard(run: Path) -> None:
    before, path = results(run), damage(run)
    told = program("verify.py", f"run.dir={run}")
    assert (told.returncode, path.exists()) == (74, True)
    told = program("verify.py", f"run.dir={run}", "--repair")
    assert told.returncode == 0, told.stdout
    assert "5 rows rebuilt from the record" in told.stdout
    assert "sound" in told.stdout
    assert not path.exists()
    assert path.with_name(f"{path.name}.damaged").exists()
    assert results(run) == before
    assert program("verify.py", f"run.dir={run}").returncode == 0


def test_verify_says_where_the_record_does_not_reach_and_leaves_it_to_the_run(run: Path) -> None:
    lost = {row["case_id"] for row in list(iter_rows(run / "results"))[:5]}
    damage(run)
    forget(run, 1.0)
    told = program("verify.py", f"run.dir={run}", "--repair")
    assert told.returncode == 75
    assert "the record does not reach 5 cases" in told.stdout
    assert f"{min(lost)}: the record ends in round 1 of attempt 1" in told.stdout
    assert "5 cases have no row" in told.stdout
    assert lost.isdisjoint(results(run))


def test_verify_rebuilds_nothing_with_another_input(run: Path, tmp_path: Path) -> None:
    damage(run)
    (run / "identity.json").write_text('{"seed": 1}')
    told = program("verify.py", f"run.dir={run}", "--repair")
    assert told.returncode == 75
    assert "no row could be rebuilt from the record" in told.stdout
    assert "another configuration" in told.stdout
