import json
from pathlib import Path
from typing import Any

import pytest

from mics_ray.errors import RefusedRun
from tests.support.fake_internvl import make_export
from train.stages import read_stages


def refusal(folder: Path, names: list[str] | None = None) -> str:
    with pytest.raises(RefusedRun) as refused:
        read_stages(folder, names)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_stages_come_in_the_exports_order_with_their_data_sets(tmp_path: Path) -> None:
    folder = make_export(tmp_path / "x", ("text", "pictures", "chains"), repeat_time=3)
    stages = read_stages(folder)
    assert [stage.name for stage in stages] == ["text", "pictures", "chains"]
    assert stages[0].meta == folder / "meta/text.json"
    (entry,) = stages[2].entries
    assert (entry.name, entry.root, entry.annotation) == ("chains", folder, folder / "chains.jsonl")
    assert (entry.repeat, entry.length, entry.tiles, stages[2].sample_count) == (3, 1, 6, 3)


def test_named_stages_keep_the_exports_order(tmp_path: Path) -> None:
    folder = make_export(tmp_path / "x", ("text", "pictures", "chains"))
    assert [stage.name for stage in read_stages(folder, ["chains", "text"])] == ["text", "chains"]


def test_a_folder_without_a_report_is_no_export(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"export.dir {tmp_path}: no export is there; run scripts/export.py first"


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_report_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_bytes(text.encode("latin-1"))
    assert refusal(tmp_path).startswith(f"cannot read {tmp_path}/report.json")


def test_a_report_without_stages_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"stages": []}))
    assert "lists no stage" in refusal(tmp_path)


def test_an_unknown_stage_is_refused_with_the_nearest(tmp_path: Path) -> None:
    folder = make_export(tmp_path / "x")
    assert refusal(folder, ["chain"]) == "export.stages: the export has no stage 'chain'; did you mean 'chains'?"


def test_choosing_no_stage_at_all_is_refused(tmp_path: Path) -> None:
    assert "no stage is chosen" in refusal(make_export(tmp_path / "x"), [])


def test_a_meta_file_that_is_gone_is_named(tmp_path: Path) -> None:
    folder = make_export(tmp_path / "x")
    (folder / "meta/chains.json").unlink()
    assert refusal(folder) == f"stage chains: {folder}/meta/chains.json is not there; export again"


def test_a_stage_without_a_data_set_is_empty(tmp_path: Path) -> None:
    folder = make_export(tmp_path / "x")
    (folder / "meta/chains.json").write_text("{}")
    assert "stage chains" in refusal(folder)
    assert "has no sample" in refusal(folder)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"length": 0}, "has no sample"),
        ({"repeat_time": 0.5}, "repeat_time is 0.5"),
        ({"repeat_time": 0}, "repeat_time is 0"),
        ({"repeat_time": True}, "repeat_time is True"),
        ({"annotation": "relative.jsonl"}, "relative.jsonl is not there"),
        ({"annotation": "/nowhere/a.jsonl"}, "/nowhere/a.jsonl is not there"),
        ({"annotation": "/nowhere/a.json"}, "must have a name that ends in jsonl"),
        ({"root": "/nowhere"}, "/nowhere is not there"),
    ],
)
def test_what_the_trainer_would_misread_is_refused(tmp_path: Path, changed: dict[str, Any], problem: str) -> None:
    folder = make_export(tmp_path / "x", ("chains",), **changed)
    assert refusal(folder).startswith("stage chains")
    assert problem in refusal(folder)


def test_an_empty_annotation_file_is_named(tmp_path: Path) -> None:
    folder = make_export(tmp_path / "x")
    (folder / "chains.jsonl").write_text("")
    assert f"{folder}/chains.jsonl is empty" in refusal(folder)


def test_a_meta_entry_without_its_annotation_is_named(tmp_path: Path) -> None:
    folder = make_export(tmp_path / "x")
    (folder / "meta/chains.json").write_text(json.dumps({"ours": {"root": str(folder)}}))
    assert refusal(folder).startswith("stage chains, data set ours: annotation, repeat_time, length missing")


@pytest.mark.parametrize("name", ["merged", "logs", "../up", "a/b", ""])
def test_a_stage_whose_name_is_no_folder_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    folder = make_export(tmp_path / "x", ("chains",))
    listed = {"stages": [{"name": name, "meta": "meta/chains.json"}]}
    (folder / "report.json").write_text(json.dumps(listed))
    assert "not usable as the name of a folder" in refusal(folder)
