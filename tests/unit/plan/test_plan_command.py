"""`mics plan`: what it prints and what it refuses."""

import re

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
    for words in ("models on 3 of 4 GPUs", "n1 (1)", "cases an hour", "hours for 20 cases", "window: the latencies"):
        assert words in printed
    for words in ("one more replica of", "mentors' quotas doubled", "judge's quota doubled", "window doubled"):
        assert words in printed


def test_a_mentor_of_72b_and_a_judge_on_our_gpus_have_their_places_and_no_quota(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    small = ["plan.sample=20", "plan.cases=20", "window=5"]
    assert main(["experiment=offline", *small, "plan.nodes=[{gpus:8,cpus:64,count:2}]"]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "models on 13 of 16 GPUs" in printed
    rows = {cells[0]: cells[1:] for line in printed.splitlines() if len(cells := re.findall(r"[^│┃\s]+", line)) == 5}
    assert rows["qwen25_vl_72b"] == ["1", "4", "n1", "(1)"]
    assert rows["internvl3_78b"] == ["1", "4", "n1", "(1)"]
    assert rows["judge"] == ["1", "2", "n2", "(1)"]
    assert rows["qwen2_vl_7b"] == ["1", "1", "n2", "(1)"]
    assert re.search(r"money for them\s+│\s+\$0\.00", printed)
    assert "qwen25_vl_72b: GPU" in printed
    assert "quota" not in printed
    assert main(["experiment=offline", *small, "plan.nodes=[{gpus:2,cpus:64,count:8}]"]) == EXIT_REFUSED
    assert "qwen25_vl_72b needs 4 GPUs on one node: the cluster has 16, the biggest node (n1) 2" in (
        capsys.readouterr().err
    )


def test_a_plan_knows_nodes_of_several_kinds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    mixed = "plan.nodes=[{gpus:4,cpus:64,accelerator:H100},{gpus:4,cpus:64,accelerator:L4}]"
    named = ["interns.internvl3_8b.accelerator=H100", "interns.qwen2_vl_7b.accelerator=L4"]
    many = ["interns.internvl3_8b.replicas={min: 1, max: 9}"]
    assert main([*PAPER, *named, *many, mixed]) == EXIT_OK
    printed = capsys.readouterr().out
    rows = {cells[0]: cells[1:] for line in printed.splitlines() if len(cells := re.findall(r"[^│┃\s]+", line)) >= 5}
    assert rows["internvl3_8b"] == ["4", "1", "H100", "n1", "(4)"]
    assert rows["qwen2_vl_7b"] == ["1", "1", "L4", "n2", "(1)"]
    assert rows["qwen25_vl_7b"][:2] == ["1", "1"]
    assert main([*PAPER, "interns.internvl3_8b.accelerator=B200", mixed]) == EXIT_REFUSED
    assert "internvl3_8b needs 1 GPUs of B200 on one node: the cluster has 8 (4 H100, 4 L4)" in capsys.readouterr().err
    assert main([*PAPER, *named]) == EXIT_REFUSED
    assert "internvl3_8b asks for H100, and models run on CPUs here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["plan.nodes=[{gpus:2,cpus:16}]"], "the models need 3 GPUs"),
        (["plan.nodes=[{gpu:2}]"], "unknown name"),
        (["plan.run=/nowhere"], "plan.run: /nowhere holds no finished run"),
    ],
)
def test_what_cannot_be_planned_is_refused(
    capsys: pytest.CaptureFixture[str], overrides: list[str], words: str
) -> None:
    assert main([*PAPER, *overrides]) == EXIT_REFUSED
    assert words in capsys.readouterr().err
