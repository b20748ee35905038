"""Whatever bytes come, each parser keeps its promise: 10,000 nearly valid inputs each; scripts/fuzz.py runs more."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.names import NAMES
from tests.fuzz.targets import TARGETS, generator, reply, text, verdict

QUICK = ("text", "verdict", "reply", "cases", "pictures")
SEED = 1
ROOT = Path(__file__).resolve().parents[2]


def run(name: str, inputs: int, folder: Path) -> None:
    target = TARGETS[name]
    check = target.open(folder)
    for number in range(inputs):
        check(target.make(generator(SEED, name, number)))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", QUICK)
def test_ten_thousand_nearly_valid_inputs(name: str, tmp_path: Path) -> None:
    run(name, 10_000, tmp_path)


@pytest.mark.parametrize("inputs", [100, pytest.param(10_000, marks=pytest.mark.long)])
def test_configurations(inputs: int, tmp_path: Path) -> None:
    """One takes Hydra 50 ms, so only a few of them are among the fast tests."""
    run("config", inputs, tmp_path)


def test_every_target_is_named() -> None:
    assert tuple(TARGETS) == NAMES


def test_atheris_breeds_inputs_from_these() -> None:
    command = [sys.executable, ROOT / "scripts/fuzz.py", "--guided", "--target", "verdict", "--inputs", "2000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Done 2000 runs" in done.stderr


def test_the_inputs_are_nearly_valid_and_the_same_every_time() -> None:
    for name, target in TARGETS.items():
        made = [target.make(generator(SEED, name, number)) for number in range(200)]
        assert made == [target.make(generator(SEED, name, number)) for number in range(200)]
        assert len(set(made)) > 120


@given(st.text())
@settings(max_examples=500, deadline=None)
def test_any_text_is_read(said: str) -> None:
    data = said.encode("utf-8", "replace")
    for check in (text, verdict, reply):
        check(data)
