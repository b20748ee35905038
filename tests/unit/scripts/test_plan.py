"""`scripts/plan.py`: what it prints and what it refuses."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from mics_ray.errors import EXIT_OK, EXIT_REFUSED

SCRIPT = Path(__file__).parents[3] / "scripts/plan.py"
PAPER = ["mentors=paper", "interns=paper", "judge=deepseek", "plan.sample=20", "plan.cases=20", "window=5"]


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plan_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_plan_says_where_what_binds_and_what_more_would_bring(
    program: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert program.main([*PAPER, "plan.nodes=[{gpus:2,cpus:16,count:2}]"]) == EXIT_OK
    printed = capsys.readouterr().out
    for words in ("interns on 3 of 4 GPUs", "n1 (1)", "cases an hour", "hours for 20 cases", "window: the latencies"):
        assert words in printed
    for words in ("one more replica of", "mentors' quotas doubled", "judge's quota doubled", "window doubled"):
        assert words in printed


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["plan.nodes=[{gpus:2,cpus:16}]"], "interns need 3 GPUs"),
        (["plan.nodes=[{gpu:2}]"], "unknown name"),
        (["plan.run=/nowhere"], "plan.run: /nowhere holds no finished run"),
    ],
)
def test_what_cannot_be_planned_is_refused(
    program: ModuleType, capsys: pytest.CaptureFixture[str], overrides: list[str], words: str
) -> None:
    assert program.main([*PAPER, *overrides]) == EXIT_REFUSED
    assert words in capsys.readouterr().err
