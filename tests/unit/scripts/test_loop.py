"""`scripts/loop.py`: its steps are commands that compose, in an order in which each finds what it reads."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from eval.config import EvaluateJob
from mics_ray.config.compose import compose_job
from mics_ray.config.schema import Config
from train.config import TrainJob
from train.export.config import ExportJob

SCRIPT = Path(__file__).parents[3] / "scripts/loop.py"
SCHEMAS = {"generate": Config, "export": ExportJob, "train": TrainJob, "evaluate": EvaluateJob}


@pytest.fixture(scope="module")
def loop() -> ModuleType:
    spec = importlib.util.spec_from_file_location("loop_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_step_is_a_program_whose_arguments_compose(loop: ModuleType, tmp_path: Path) -> None:
    for _, (program, *arguments) in loop.plan(tmp_path, 7):
        assert (SCRIPT.parent / program).is_file()
        if (job := program.removesuffix(".py")) in SCHEMAS:
            compose_job(job, SCHEMAS[job], arguments)


def test_both_arms_are_trained_alike_and_all_models_are_asked_alike(loop: ModuleType, tmp_path: Path) -> None:
    steps = dict(loop.plan(tmp_path, 7))

    def like(first: str, second: str, *names: str) -> bool:
        texts = [" ".join(step) for step in (steps[first], steps[second])]
        for name in names:
            texts = [text.replace(name, "X") for text in texts]
        return texts[0] == texts[1]

    assert like("train searched", "train control", "searched", "control")
    assert like("evaluate searched", "evaluate control", "searched", "control")
    base = f"model={loop.BASE}"
    tuned = f"model={tmp_path}/searched/train/merged"
    assert like("evaluate base", "evaluate searched", base, tuned, "/base", "/searched")


def test_the_folder_is_needed(loop: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert loop.main([]) == 64
    assert "--dir" in capsys.readouterr().err
