"""What the backend `internvl` refuses, each before anything starts, and what it makes of a recipe."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mics_ray.config.compose import compose_job
from mics_ray.errors import RefusedRun
from tests.support.fake_internvl import make_checkout, make_export, make_model
from train.backends.internvl.backend import InternVLTrainer
from train.backends.internvl.commands import (
    Rendezvous,
    accumulation_steps,
    stage_paths,
    train_command,
    trainer_environment,
)
from train.backends.internvl.output import is_trained, remove_partial_checkpoints, whole_checkpoints, write_losses
from train.config import TrainJob
from train.stages import read_stages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_checkout(tmp_path / "InternVL")
    make_model(tmp_path / "base")
    make_export(tmp_path / "export")
    return tmp_path


def job(folder: Path, *more: str, recipe: str = "internvl3_2b") -> TrainJob:
    words = [
        f"train={recipe}", f"train.model={folder}/base", f"train.dir={folder}/out", f"export.dir={folder}/export",
        f"train.upstream.checkout={folder}/InternVL", f"train.upstream.python={sys.executable}", *more,
    ]  # fmt: skip
    return compose_job("train", TrainJob, words)


def refusal(folder: Path, *more: str) -> str:
    with pytest.raises(RefusedRun) as refused:
        InternVLTrainer().check_training(job(folder, *more))
    assert "\n" not in str(refused.value)
    assert not (folder / "out").exists()
    return str(refused.value)


@pytest.mark.parametrize(("recipe", "batch"), [("internvl3_2b", (8, 4, 2)), ("internvl3_8b", (8, 2, 1))])
def test_both_recipes_pass_their_check_and_fill_the_papers_batch(
    folder: Path, recipe: str, batch: tuple[int, int, int]
) -> None:
    """METHOD: 64 samples a step for 2B, 16 for 8B, as GPUs x samples x accumulation steps."""
    checked = job(folder, recipe=recipe)
    InternVLTrainer().check_training(checked)
    upstream, train = checked.train.upstream, checked.train
    assert (upstream.nodes * upstream.gpus_per_node, train.batch_per_device, accumulation_steps(train)) == batch


@pytest.mark.parametrize("name", ["checkout", "python"])
def test_where_the_trainer_lies_must_be_said(folder: Path, name: str) -> None:
    assert refusal(folder, f"train.upstream.{name}=null").startswith(f"train.upstream.{name} is not set")


@pytest.mark.parametrize(
    "file", ["internvl/train/internvl_chat_finetune.py", "tools/merge_lora.py", "zero_stage1_config.json"]
)
def test_a_checkout_without_a_file_that_is_used_is_refused(folder: Path, file: str) -> None:
    path = folder / "InternVL/internvl_chat" / file
    path.unlink()
    assert f"{path} is not there" in refusal(folder)


@pytest.mark.parametrize(
    ("line", "name", "group"),
    [
        ("use_thumbnail: bool = False", "use_thumbnail", "DataTrainingArguments"),
        ("use_llm_lora: int = 0", "use_llm_lora", "ModelArguments"),
        ("meta_path: Optional[str] = None", "meta_path", "DataTrainingArguments"),
    ],
)
def test_an_argument_that_the_checkout_does_not_know_is_named(folder: Path, line: str, name: str, group: str) -> None:
    script = folder / "InternVL/internvl_chat/internvl/train/internvl_chat_finetune.py"
    text = script.read_text()
    assert text.count(line) == 1
    script.write_text(text.replace(line, "other: int = 0"))
    assert f"has no argument '{name}' in {group}" in refusal(folder)


def test_a_trainer_that_is_no_python_is_refused(folder: Path) -> None:
    (folder / "InternVL/internvl_chat/internvl/train/internvl_chat_finetune.py").write_text("def (")
    assert "SyntaxError" in refusal(folder)


def test_a_python_that_is_not_there_or_is_none_is_refused(folder: Path) -> None:
    (folder / "python").write_text("#!/bin/false\n")
    assert "is no program" in refusal(folder, f"train.upstream.python={folder}/nowhere")
    assert "is no program" in refusal(folder, f"train.upstream.python={folder}/python")
    (folder / "python").chmod(0o700)
    assert "does not run Python (CalledProcessError)" in refusal(folder, f"train.upstream.python={folder}/python")


def test_packages_that_the_trainers_python_lacks_are_named(folder: Path) -> None:
    (folder / "InternVL/internvl_chat/deepspeed.py").unlink()
    assert "lacks deepspeed;" in refusal(folder)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["train.batch_per_device=16"], "8 GPU(s) x 16 sample(s) a GPU = 128; set train.batch_per_device=8"),
        (["train.upstream.nodes=4"], "4 node(s) x 8 GPU(s) x 4 sample(s) a GPU = 128; set train.batch_per_device=2"),
        (["train.upstream.gpus_per_node=3"], "let nodes x gpus_per_node, which is 3, divide it"),
        (["train.batch_size=24"], "set train.batch_per_device=3"),
        (["train.upstream.nodes=0"], "must each be at least 1"),
    ],
)
def test_a_batch_that_does_not_divide_is_refused_with_the_sum(folder: Path, settings: list[str], told: str) -> None:
    assert told in refusal(folder, *settings)


@pytest.mark.parametrize(
    "setting",
    [
        "train.dtype=float32",
        "train.use_gpu=false",
        "train.revision=main",
        "train.workers=2",
        "++train.model_kwargs.a=1",
        "train.lora.alpha=16",
        "train.lora.dropout=0",
    ],
)
def test_what_the_trainer_gives_no_choice_in_is_refused_by_name(folder: Path, setting: str) -> None:
    field = ".".join(setting.lstrip("+").partition("=")[0].split(".")[:2])
    assert refusal(folder, setting).startswith(field)


def test_data_sets_exported_with_other_tiles_are_refused(folder: Path) -> None:
    assert "exported with 6 tile(s) a sample, but train.max_tiles is 12" in refusal(folder, "train.max_tiles=12")


def test_an_export_that_is_not_there_is_refused(folder: Path) -> None:
    assert "no export is there" in refusal(folder, "export.dir=/nowhere")


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("OpenGVLab/InternVL3-2B-hf", "the trainer reads OpenGVLab/InternVL3-2B"),
        ("/nowhere/model", "neither a folder nor a hub id"),
        ("embedded:interns/internvl", "neither a folder nor a hub id"),
    ],
)
def test_weights_that_cannot_be_found_or_read_are_refused(folder: Path, model: str, told: str) -> None:
    assert told in refusal(folder, f"train.model='{model}'")


def test_a_hub_id_is_left_to_the_trainer(folder: Path) -> None:
    asked = job(folder, "train.model=OpenGVLab/InternVL3-2B")
    InternVLTrainer().check_training(asked)
    first, *_ = [line for line in InternVLTrainer().list_commands(asked) if "--model_name_or_path" in line]
    assert "--model_name_or_path OpenGVLab/InternVL3-2B " in first


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"architectures": ["InternVLForConditionalGeneration"]}, "is no InternVLChatModel"),
        ({"use_llm_lora": 16}, "holds an adapter that is not merged"),
    ],
)
def test_a_folder_of_the_wrong_weights_is_refused(folder: Path, config: dict[str, Any], told: str) -> None:
    make_model(folder / "other", **config)
    assert told in refusal(folder, f"train.model={folder}/other")


def test_a_folder_without_a_readable_configuration_is_refused(folder: Path) -> None:
    (folder / "base/config.json").write_text("{")
    assert "cannot read" in refusal(folder)
    (folder / "base/config.json").unlink()
    assert "holds no config.json" in refusal(folder)


def test_the_second_node_of_the_second_stage(folder: Path) -> None:
    described = job(folder, "train.upstream.nodes=2", "train.batch_per_device=1", "train.max_steps=7")
    stages = read_stages(described.export.dir)
    words = train_command(described, stages, 1, 1, Rendezvous("10.0.0.7", "4711"))
    assert words[:3] == [sys.executable, "-m", "torch.distributed.run"]
    assert {"--nnodes=2", "--node_rank=1", "--nproc_per_node=8", "--master_addr=10.0.0.7", "--master_port=4711"} <= set(
        words
    )
    given = dict(zip(words[9::2], words[10::2], strict=True))
    assert given["--model_name_or_path"] == f"{folder}/out/alignment/merged"
    assert given["--output_dir"] == f"{folder}/out/chains/checkpoints"
    assert given["--max_steps"] == "7"
    assert "--overwrite_output_dir" not in given, "it would forget the checkpoints"


def test_the_trainers_variables_are_the_nodes_without_ours_rays_and_secrets(folder: Path) -> None:
    inherited = {
        "HOME": "/home/me", "PATH": "/our/venv/bin:/usr/bin", "PYTHONPATH": "/ours", "VIRTUAL_ENV": "/our/venv",
        "RAY_ADDRESS": "x", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "2,3", "OPENAI_API_KEY": "secret",
    }  # fmt: skip
    config = job(folder).train
    config = replace(config, upstream=replace(config.upstream, python="/theirs/bin/python"))
    assert trainer_environment(config, inherited, ["OPENAI_API_KEY"], Path("/our/venv/bin")) == {
        "HOME": "/home/me",
        "PATH": "/theirs/bin:/usr/bin",
        "CUDA_VISIBLE_DEVICES": "2,3",
        "LAUNCHER": "pytorch",
        "PYTHONPATH": f"{folder}/InternVL/internvl_chat",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def output(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


def test_only_whole_checkpoints_stay_for_the_trainer_to_go_on_from(tmp_path: Path) -> None:
    place = output(
        tmp_path / "o", "checkpoint-90/trainer_state.json", "checkpoint-100/trainer_state.json",
        "checkpoint-200/half", "tmp-checkpoint-300/half", "runs/events",
    )  # fmt: skip
    remove_partial_checkpoints(place)
    assert [path.name for path in whole_checkpoints(place)] == ["checkpoint-90", "checkpoint-100"]
    assert sorted(path.name for path in place.iterdir()) == ["checkpoint-100", "checkpoint-90", "runs"]


def test_a_folder_without_a_whole_checkpoint_goes_since_upstream_refuses_it(tmp_path: Path) -> None:
    place = output(tmp_path / "o", "checkpoint-200/half", "runs/events")
    remove_partial_checkpoints(place)
    assert not place.exists()


def test_losses_are_read_from_the_trainers_state(folder: Path) -> None:
    described = job(folder)
    where = stage_paths(described, read_stages(described.export.dir), 0)
    where.output.mkdir(parents=True)
    assert not is_trained(where)
    history = [{"step": 1, "loss": 2.5, "learning_rate": 4e-5, "epoch": 0.1}, {"step": 1, "train_loss": 2.5}]
    (where.output / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    assert is_trained(where)
    assert write_losses(where) == 1
    assert (where.folder / "log.jsonl").read_text() == '{"step": 1, "loss": 2.5, "learning_rate": 4e-05}\n'
