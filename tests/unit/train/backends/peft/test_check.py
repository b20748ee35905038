import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mics_ray.assemble.locations import resolve_embedded
from mics_ray.errors import RefusedRun
from tests.support.tiny_training import job, record, write_stage
from train.backends.peft.backend import PeftLora
from train.backends.peft.check import check_job

pytestmark = pytest.mark.heavy

TINY = Path(resolve_embedded("embedded:interns/internvl"))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    write_stage(tmp_path / "export", [record(number) for number in range(4)])
    return tmp_path / "export"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "model"))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refused(export: Path, **changed: Any) -> str:
    with pytest.raises(RefusedRun) as error:
        PeftLora().check_training(job(export, export.parent / "run", **changed))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_recipe_tiny_passes(export: Path) -> None:
    ((stage, records),) = check_job(job(export, export.parent / "run"))
    assert (stage.name, stage.sample_count, len(records)) == ("chains", 4, 4)
    assert not (export.parent / "run").exists(), "a check writes nothing"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"batch_size": 24}, "24 is not a multiple of workers x batch_per_device = 16"),
        ({"workers": 3}, "16 is not a multiple of workers x batch_per_device = 48"),
        ({"dtype": "float8"}, "train.dtype"),
        ({"epochs": 0.0}, "train.epochs"),
        ({"save_steps": 0}, "train.save_steps"),
        ({"max_steps": 0}, "train.max_steps"),
        ({"image_size": 448}, "train.image_size is 448"),
        ({"model": "no/such/folder"}, "no/such/folder is not there"),
        ({"model": "embedded:interns/qwen25vl"}, "model_type is 'qwen2_5_vl'"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(export: Path, changed: dict[str, Any], words: str) -> None:
    assert words in refused(export, **changed)


def test_a_folder_without_weights_or_files_is_refused(export: Path, model: Path) -> None:
    (model / "model.safetensors").unlink()
    assert "no weights" in refused(export, model=str(model))
    (model / "processor_config.json").unlink()
    (model / "model.safetensors").touch()
    assert "no processor" in refused(export, model=str(model))
    (model / "config.json").unlink()
    assert "config.json is missing" in refused(export, model=str(model))


def test_a_processor_that_writes_other_tokens_than_the_model_reads_is_refused(export: Path, model: Path) -> None:
    change(model / "processor_config.json", image_seq_length=9)
    assert "writes 9 tokens a tile, the model makes 4" in refused(export, model=str(model))


def test_a_tokenizer_of_another_model_is_refused(export: Path, model: Path) -> None:
    change(model / "config.json", image_token_id=17)
    assert "<IMG_CONTEXT> is 5, the model expects 17" in refused(export, model=str(model))


def test_an_empty_stage_is_refused(export: Path) -> None:
    (export / "chains.jsonl").write_text("")
    assert "chains" in refused(export)


def test_the_dry_run_names_stages_steps_and_targets(export: Path) -> None:
    (line,) = PeftLora().list_commands(job(export, export.parent / "run", epochs=8.0))
    assert "stage chains, 4 samples, 2 steps of 16" in line
    assert line.endswith(str(export.parent / "run" / "merged"))
    write_stage(export, [record(9)], "more")
    assert [line.rpartition("/run/")[2] for line in PeftLora().list_commands(job(export, export.parent / "run"))] == [
        "chains/merged",
        "more/merged",
    ]
