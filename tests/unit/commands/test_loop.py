"""`mics loop`: its steps are commands that compose, in an order in which each finds what it reads."""

from pathlib import Path

import pytest

from eval.config import EvaluateJob
from mics_ray.cli import COMMANDS
from mics_ray.commands.loop import BASE, list_steps, run_loop
from mics_ray.config.compose import compose_job
from mics_ray.config.schema import Config
from train.config import TrainJob
from train.export.config import ExportJob

SCHEMAS = {"generate": Config, "export": ExportJob, "train": TrainJob, "evaluate": EvaluateJob}


def test_every_step_is_a_program_whose_arguments_compose(tmp_path: Path) -> None:
    for _, (program, *arguments) in list_steps(tmp_path, 7):
        assert program in COMMANDS
        if program in SCHEMAS:
            compose_job(program, SCHEMAS[program], arguments)


def test_both_arms_are_trained_alike_and_all_models_are_asked_alike(tmp_path: Path) -> None:
    steps = dict(list_steps(tmp_path, 7))

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


def test_the_folder_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_loop([]) == 64
    assert "--dir" in capsys.readouterr().err
