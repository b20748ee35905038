"""LoRA on the tiny intern under Ray Train: what comes out, and what a killed process costs."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mics_ray.core.seeds import derive_seed
from mics_ray.errors import EXIT_STOPPED, RefusedRun
from mics_ray.models.types import Pictures, Request
from mics_ray.runtime.serving.model_actors import connect_routers
from mics_ray.runtime.serving.picture_refs import PictureRefs
from tests.support.processes import alive, kill, until
from tests.support.tiny_training import QUESTION, job, record, write_stage
from train.backends.peft.backend import PeftLora
from train.backends.peft.checkpoints import list_checkpoints
from train.backends.peft.loop import STOP
from train.backends.peft.training_log import read_last_line

pytestmark = pytest.mark.cluster

STEPS, SAVED_EVERY = 24, 5
RECIPE: dict[str, Any] = {"max_steps": STEPS, "epochs": 50.0, "batch_size": 8, "batch_per_device": 8, "save_steps": 5}


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    write_stage(folder, [record(number, number % 3) for number in range(16)])
    return folder


@pytest.fixture(scope="module")
def trained(ray_cluster: None, export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an unbroken training by one worker."""
    folder = tmp_path_factory.mktemp("trained")
    assert PeftLora().train_stages(job(export, folder, **RECIPE), print) == folder / "merged"
    return folder


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def last_step(folder: Path) -> int:
    return int((read_last_line(folder / "log.jsonl") or {"step": 0})["step"])


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "adapter" / "adapter_model.safetensors")
    return found


def boards(folder: Path) -> list[Path]:
    """The TensorBoard files of the processes that trained, first to last; their names hold the process's id."""
    return sorted((folder / "tensorboard").glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime_ns)


def trainer(folder: Path) -> int:
    """The process that trains, or was the last to."""
    return int(boards(folder)[-1].name.split(".")[-2])


def logged_steps(board: Path) -> list[int]:
    events = EventAccumulator(str(board))
    events.Reload()
    return [event.step for event in events.Scalars("loss")]


def test_the_loss_falls_and_everything_lies_beside_the_weights(trained: Path) -> None:
    lines = log(trained)
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]
    assert lines[-1]["epoch"] == pytest.approx(STEPS * 8 / 16)
    assert lines[1]["learning_rate"] == pytest.approx(2e-3)  # behind one step of warm-up
    assert lines[-1]["learning_rate"] < 1e-4
    assert {"adapter", "merged", "curves.png", "log.jsonl", "tensorboard"} <= {p.name for p in trained.iterdir()}
    assert logged_steps(boards(trained)[0]) == list(range(1, STEPS + 1))
    assert any(weight.abs().sum() > 0 for name, weight in adapter(trained).items() if "lora_B" in name)


def test_the_same_command_again_trains_nothing(trained: Path, export: Path) -> None:
    before = (trained / "merged" / "model.safetensors").stat().st_mtime_ns
    assert PeftLora().train_stages(job(export, trained, **RECIPE), print) == trained / "merged"
    assert (trained / "merged" / "model.safetensors").stat().st_mtime_ns == before
    assert len(log(trained)) == STEPS


@pytest.mark.slow
def test_two_workers_with_accumulation_train_what_one_trains(trained: Path, export: Path, tmp_path: Path) -> None:
    shared = RECIPE | {"workers": 2, "batch_per_device": 2}
    PeftLora().train_stages(job(export, tmp_path, **shared), print)
    for ours, theirs in zip(log(tmp_path), log(trained), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-3)
    for name, weight in adapter(tmp_path).items():
        torch.testing.assert_close(weight, adapter(trained)[name], atol=2e-3, rtol=2e-2)


@pytest.mark.slow
def test_a_killed_worker_costs_the_steps_since_the_last_checkpoint(trained: Path, export: Path, tmp_path: Path) -> None:
    running = threading.Thread(target=PeftLora().train_stages, args=(job(export, tmp_path, **RECIPE), print))
    running.start()
    until(lambda: last_step(tmp_path) > SAVED_EVERY + 1)
    kill(trainer(tmp_path))
    running.join(300)
    first, second = (logged_steps(board) for board in boards(tmp_path))
    assert first[-1] - SAVED_EVERY < second[0] <= first[-1] + 1
    assert second[0] % SAVED_EVERY == 1
    assert second[-1] == STEPS
    _same_training(tmp_path, trained)


@pytest.mark.slow
def test_the_same_command_goes_on_after_ctrl_c_and_after_a_killed_driver(
    trained: Path, export: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    overrides = [f"train.{name}={value}" for name, value in RECIPE.items()]
    command = [
        sys.executable,
        "scripts/train.py",
        "train=tiny",
        f"export.dir={export}",
        f"train.dir={folder}",
        *overrides,
    ]
    # A test run in the background has SIGINT ignored, and would hand that on.
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, preexec_fn=heeding) as driver:
        until(lambda: last_step(folder) > 1)
        # It takes no step until the stop is asked for: a quick machine would be through.
        worker = trainer(folder)
        os.kill(worker, signal.SIGSTOP)
        driver.send_signal(signal.SIGINT)
        until((folder / STOP).exists)
        os.kill(worker, signal.SIGCONT)
        assert driver.wait(300) == EXIT_STOPPED
    stopped = last_step(folder)
    assert stopped < STEPS
    assert list_checkpoints(folder / "checkpoints")[-1].name == f"step-{stopped:08}.pt"
    with subprocess.Popen(command) as driver:
        until(lambda: last_step(folder) > max(stopped, SAVED_EVERY) + 1)
        driver.kill()
    until(lambda: not alive(trainer(folder)))
    subprocess.run(command, check=True, timeout=400)
    starts = [logged_steps(board)[0] for board in boards(folder)]
    assert starts[1] == stopped + 1
    assert starts[2] > SAVED_EVERY
    _same_training(folder, trained)


def _same_training(folder: Path, unbroken: Path) -> None:
    """Neither a step nor a draw is another one than without the kill."""
    assert [(line["step"], line["loss"]) for line in log(folder)] == [
        (line["step"], line["loss"]) for line in log(unbroken)
    ]
    torch.testing.assert_close(adapter(folder), adapter(unbroken), atol=0, rtol=0)


@pytest.mark.slow
def test_the_second_stage_starts_from_the_merged_weights_of_the_first(
    ray_cluster: None, export: Path, tmp_path: Path
) -> None:
    write_stage(tmp_path / "export", [record(number) for number in range(8)], "first")
    write_stage(tmp_path / "export", [record(number) for number in range(8)], "second")
    recipe = RECIPE | {"max_steps": 6}
    final = PeftLora().train_stages(job(tmp_path / "export", tmp_path / "run", **recipe), print)
    assert final == tmp_path / "run" / "second" / "merged"
    ends, starts = log(tmp_path / "run" / "first")[-1]["loss"], log(tmp_path / "run" / "second")[0]["loss"]
    assert starts == pytest.approx(ends, rel=0.15)
    assert starts < 0.8 * log(tmp_path / "run" / "first")[0]["loss"]


def test_too_few_gpus_and_records_that_do_not_fit_are_refused(ray_cluster: None, export: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedRun, match="need a GPU each, the cluster has 0"):
        PeftLora().train_stages(job(export, tmp_path, **RECIPE | {"use_gpu": True}), print)
    with pytest.raises(RefusedRun, match=r"record phantom-\d+: \d+ tokens, train.max_seq_length is 40"):
        PeftLora().train_stages(job(export, tmp_path, **RECIPE | {"max_seq_length": 40}), print)


@pytest.mark.slow
async def test_vllm_makes_as_many_prompt_tokens_as_training(replicas: dict[str, list[Any]], export: Path) -> None:
    from train.backends.peft.data import IGNORED, Encoder
    from train.backends.peft.model import load_processor, local_folder
    from train.backends.peft.records import Records
    from train.stages import read_stages

    records = Records(read_stages(export)[0].entries)
    encoder = Encoder(load_processor(local_folder("embedded:interns/internvl", None)), 1, 4096)
    router = connect_routers(replicas, PictureRefs())["tiny_internvl"]
    for number in range(3):
        shown = records[number].pictures
        pictures = Pictures(f"tokens-{number}", tuple(path.read_bytes() for path in shown)) if shown else None
        digest = pictures.digest if pictures else ""
        asked = Request("tiny", "m", "", "", QUESTION, digest, 0.0, 1, derive_seed("tokens", number))
        sample = encoder.encode_record(records[number])
        reply = await asyncio.wait_for(router.route_request(f"tokens-{number}", asked, pictures), 120)
        assert reply.prompt_tokens == int((sample.labels == IGNORED).sum())
