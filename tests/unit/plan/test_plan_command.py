"""`mics plan`: what it prints and what it refuses."""

import pytest

from mics_ray.errors import EXIT_OK, EXIT_REFUSED
from mics_ray.plan.command import main

PAPER = ["mentors=paper", "interns=paper", "judge=deepseek", "plan.sample=20", "plan.cases=20", "window=5"]


def test_a_plan_says_where_what_binds_and_what_more_would_bring(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert main([*PAPER, "plan.nodes=[{gpus:2,cpus:16,count:2}]"]) == EXIT_OK
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
    capsys: pytest.CaptureFixture[str], overrides: list[str], words: str
) -> None:
    assert main([*PAPER, *overrides]) == EXIT_REFUSED
    assert words in capsys.readouterr().err
