"""The backend `peft` on a GPU: it trains what the CPU trains, and in bfloat16 it learns too."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support.tiny_training import job, record, write_stage
from train.backends.peft.backend import PeftLora

pytestmark = pytest.mark.gpu

STEPS = 24
RECIPE: dict[str, Any] = {"max_steps": STEPS, "epochs": 50.0, "batch_size": 8, "batch_per_device": 4}


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    write_stage(folder, [record(number, number % 3) for number in range(16)])
    return folder


def losses(export: Path, folder: Path, **changed: Any) -> list[float]:
    """Train, and the loss of every step."""
    assert PeftLora().train_stages(job(export, folder, **RECIPE | changed), print) == folder / "merged"
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_gpu_trains_what_the_cpu_trains(gpu_cluster: None, export: Path, tmp_path: Path) -> None:
    ours = losses(export, tmp_path / "gpu", use_gpu=True)
    theirs = losses(export, tmp_path / "cpu", use_gpu=False)
    assert ours == pytest.approx(theirs, rel=1e-3)
    assert ours[-1] < 0.7 * ours[0]
    made, known = (load_file(tmp_path / where / "adapter" / "adapter_model.safetensors") for where in ("gpu", "cpu"))
    for name, weight in made.items():
        torch.testing.assert_close(weight, known[name], atol=1e-2, rtol=5e-2)


def test_in_bfloat16_the_loss_falls_as_in_float32(gpu_cluster: None, export: Path, tmp_path: Path) -> None:
    exact = losses(export, tmp_path / "float32", use_gpu=True)
    rounded = losses(export, tmp_path / "bfloat16", use_gpu=True, dtype="bfloat16", gradient_checkpointing=True)
    assert rounded[0] == pytest.approx(exact[0], rel=1e-2)
    assert rounded[-1] == pytest.approx(exact[-1], rel=5e-2)
    weights = load_file(tmp_path / "bfloat16" / "merged" / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
