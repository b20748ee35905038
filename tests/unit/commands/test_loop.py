"""`mics loop`: its steps are commands that compose, in an order in which each finds what it reads; its account."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from eval.config import EvaluateJob
from eval.reports.comparison import compare_evaluations, write_comparison
from eval.reports.report import write_evaluation_report
from eval.reports.seed_comparison import compare_seed_evaluations, write_seed_comparison
from mics_ray.cli import COMMANDS
from mics_ray.commands.loop import BASE, list_models, list_steps, run_loop
from mics_ray.commands.loop_account import print_loop_account
from mics_ray.config.compose import compose_job
from mics_ray.config.schema import Config
from tests.support.evaluations import CONFIG, answered, evaluation
from train.config import TrainJob
from train.export.config import ExportJob

SCHEMAS = {"generate": Config, "export": ExportJob, "train": TrainJob, "evaluate": EvaluateJob}


def test_every_step_is_a_program_whose_arguments_compose(tmp_path: Path) -> None:
    for _, (program, *arguments) in list_steps(tmp_path, 7, 3):
        assert program in COMMANDS
        if program in SCHEMAS:
            compose_job(program, SCHEMAS[program], arguments)


def test_both_arms_are_trained_alike_and_all_models_are_asked_alike(tmp_path: Path) -> None:
    steps = dict(list_steps(tmp_path, 7, 2))

    def like(first: str, second: str, *names: str) -> bool:
        texts = [" ".join(step) for step in (steps[first], steps[second])]
        for name in names:
            texts = [text.replace(name, "X") for text in texts]
        return texts[0] == texts[1]

    assert like("train searched", "train control", "searched", "control")
    assert like("evaluate searched", "evaluate control", "searched", "control")
    base = f"model={BASE}"
    tuned = f"model={tmp_path}/searched/train/merged"
    assert like("evaluate base", "evaluate searched", base, tuned, "/base", "/searched")
    assert like("train searched", "train searched-seed1", "train-seed1 seed=1", "train seed=0")
    assert like("evaluate searched", "evaluate searched-seed1", "train-seed1", "train", "searched-seed1", "searched")


def test_three_seeds_are_trained_and_evaluated_once_each_on_one_search(tmp_path: Path) -> None:
    steps = list_steps(tmp_path, 7, 3)
    names = [name for name, _ in steps]
    assert len(set(names)) == len(names)
    counts = {program: sum(command[0] == program for _, command in steps) for program in (*SCHEMAS, "compare")}
    assert counts == {"generate": 2, "export": 2, "train": 6, "evaluate": 7, "compare": 6}
    jobs = [compose_job("train", TrainJob, command[1:]) for _, command in steps if command[0] == "train"]
    assert sorted(job.seed for job in jobs) == [0, 0, 1, 1, 2, 2]
    assert len({job.train.dir for job in jobs}) == 6
    searched = ",".join(f"{tmp_path}/eval/searched{name}" for name in ("", "-seed1", "-seed2"))
    over = dict(steps)["base against searched over 3 seeds"]
    assert over == ["compare", f"{tmp_path}/eval/base", searched, "--out", f"{tmp_path}/compare_seeds/base-searched"]
    assert dict(steps)["control against searched over 3 seeds"][1].count(",") == 2


def test_a_folder_of_one_seed_goes_on_with_more(tmp_path: Path) -> None:
    """Every step of one seed is one of three, word for word, and in the same order."""
    three = [step for step in list_steps(tmp_path, 7, 3) if step in list_steps(tmp_path, 7, 1)]
    assert three == list_steps(tmp_path, 7, 1)
    assert list_models(1) == {"base": "", "searched": "searched", "control": "control"}
    assert list(list_models(2)) == ["base", "searched", "control", "searched-seed1", "control-seed1"]


def test_nothing_is_read_before_it_is_made(tmp_path: Path) -> None:
    made: set[str] = set()
    for _, (program, *arguments) in list_steps(tmp_path, 7, 3):
        given = dict(one.split("=", 1) for one in arguments if "=" in one)
        if program == "evaluate" and given["model"] != BASE:
            assert given["model"].removesuffix("/merged") in made
        if program == "compare":
            assert set(arguments[0].split(",") + arguments[1].split(",")) <= made
        made |= {given[name] for name in ("train.dir", "eval.dir") if name in given}


def measured_loop(folder: Path, seeds: int) -> None:
    """A folder as the steps leave it, with small evaluations."""
    for arm in ("searched", "control"):
        (folder / arm / "export").mkdir(parents=True)
        (folder / arm / "export/report.json").write_text(json.dumps({"kept": 9}))
    for place, name in enumerate(list_models(seeds)):
        config = {**CONFIG, "model": name, "serve": {**CONFIG["serve"], "model": name}}
        items = [answered("phantom", n, "rw"[(n + place) % 3 == 0], cluster="") for n in range(6)]
        write_evaluation_report(evaluation(folder / "eval" / name, items, config))
    for _, (program, *arguments) in list_steps(folder, 7, seeds):
        if program == "compare":
            a, b = ([Path(one) for one in side.split(",")] for side in arguments[:2])
            if len(a) == len(b) == 1:
                write_comparison(compare_evaluations(a[0], b[0]), Path(arguments[3]))
            else:
                write_seed_comparison(compare_seed_evaluations(a, b), Path(arguments[3]))


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_account_tells_of_every_model_and_over_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seeds: int
) -> None:
    measured_loop(tmp_path, seeds)
    print_loop_account(Console(width=200), tmp_path, list_models(seeds), {"search searched": 1.0})
    shown, kept = capsys.readouterr().out, json.loads((tmp_path / "loop.json").read_text())
    assert list(kept["models"]) == list(list_models(seeds))
    assert list(kept["paired"]) == ["base-control", "base-searched", "control-searched"]
    assert ("over 3 training seeds" in shown) == ("over_seeds" in kept) == (seeds == 3)
    if seeds == 3:
        assert list(kept["over_seeds"]) == list(kept["paired"])
        assert [one["seeds"] for one in kept["over_seeds"].values()] == [3, 3, 3]
        assert "the chains are the same for all seeds" in shown
        assert "searched-seed2" in shown


@pytest.mark.parametrize("wrong", ["0", "-1", "x", "1.5"])
def test_a_number_of_seeds_that_is_none_is_refused(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_loop(["--dir", "never", "--seeds", wrong]) == 64
    assert "is no number of seeds" in capsys.readouterr().err or wrong == "-1"


def test_the_folder_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_loop([]) == 64
    assert "--dir" in capsys.readouterr().err
