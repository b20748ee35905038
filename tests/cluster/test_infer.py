"""The program that asks one question, on the tiny intern: text streams to standard output and nothing else does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mics_ray.local
from mics_ray.errors import EXIT_OK, EXIT_STOPPED
from mics_ray.local.findings import FINDINGS
from tests.support.processes import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
FILMS = Path(mics_ray.local.__file__).parent / "cases/images"
ANSWERS = {f"### The final answer is: {finding.answer}\n" for finding in FINDINGS}


def command(*more: str) -> list[str]:
    program = str(ROOT / "scripts/infer.py")
    chosen = ["model=embedded:interns/internvl", "serve=tiny", "serve.max_model_len=2048"]
    return [sys.executable, program, *chosen, "question='What does the film show?'", *more]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_text_one_picture_and_many(count: int, tmp_path: Path) -> None:
    images = ",".join(str(FILMS / f"phantom-{number:03}.png") for number in range(1, count + 1))
    done = subprocess.run(
        command(f"images=[{images}]"), cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == EXIT_OK, done.stderr
    assert done.stdout in ANSWERS
    assert "loading embedded:interns/internvl" in done.stderr


def test_a_stop_while_the_engine_loads_is_quiet_and_leaves_no_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        command(), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        until(lambda: "WARNING" in process.stderr.readline() or process.poll() is not None)
        os.killpg(process.pid, signal.SIGINT)
        told, errors = process.communicate(timeout=60)
    assert process.returncode == EXIT_STOPPED
    assert told == ""
    assert "Traceback" not in errors
    until(lambda: not _alive(process.pid), timeout_s=30)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
