import json
from pathlib import Path
from typing import Any

import pytest

from mics_ray.config.compose import compose_job
from mics_ray.errors import RefusedRun
from tests.support.run_folders import noise
from train.export.config import DataSetConfig, ExportJob, LengthConfig, StageConfig
from train.export.curriculum import TRAIN, Curriculum, ExportPlace, check_stages, write_stages
from train.export.jsonl import write_jsonl
from train.export.tokens import make_ruler

OURS = [{"id": f"ours-{number}", "conversations": []} for number in range(10)]


def line(number: int, **more: Any) -> str:
    talk = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "Air!"}]
    return json.dumps({"id": number, "conversations": talk} | more) + "\n"


@pytest.fixture
def others(tmp_path: Path) -> str:
    """A data set of ten text records and one with a picture."""
    (tmp_path / "other").mkdir()
    noise(0).save(tmp_path / "other/a.png")
    path = tmp_path / "other/set.jsonl"
    path.write_text("".join(map(line, range(10))) + line(10, image="a.png"))
    return str(path)


def write(tmp_path: Path, seed: int = 0, **stages: dict[str, DataSetConfig]) -> Curriculum:
    place = ExportPlace(tmp_path / "new", Path("/final"))
    given = {name: StageConfig(sets) for name, sets in stages.items()}
    check_stages(given)
    write_jsonl(place.folder / TRAIN, OURS)
    return write_stages(place, given, len(OURS), make_ruler(LengthConfig()), seed)


def meta(tmp_path: Path, stage: str) -> dict[str, Any]:
    found = json.loads((tmp_path / f"new/meta/{stage}.json").read_text())
    assert isinstance(found, dict)
    return found


def lines(tmp_path: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (tmp_path / "new/stages" / f"{name}.jsonl").read_text().splitlines()]


def test_our_chains_are_read_where_they_lie_with_whole_repeats(tmp_path: Path) -> None:
    found = write(tmp_path, three={"chains": DataSetConfig("chains", repeats=5)})
    assert found.stages == [
        {
            "name": "three",
            "meta": "meta/three.json",
            "samples": 50,
            "sets": {"chains": {"length": 10, "repeat_time": 5}},
        }
    ]
    assert meta(tmp_path, "three") == {
        "chains": {
            "root": "/final",
            "annotation": "/final/train.jsonl",
            "data_augment": False,
            "repeat_time": 5,
            "length": 10,
            "max_dynamic_patch": 6,
        }
    }
    assert type(meta(tmp_path, "three")["chains"]["repeat_time"]) is int
    assert not (tmp_path / "new/stages").exists()


def test_a_share_is_drawn_by_the_seed_and_written_because_the_trainer_takes_the_first_lines(tmp_path: Path) -> None:
    drawn = []
    for seed in (0, 1, 0):
        found = write(tmp_path, seed, one={"chains": DataSetConfig("chains", repeats=0.35)})
        drawn.append([record["id"] for record in lines(tmp_path, "one/chains")])
        assert found.stages[0]["samples"] == len(drawn[-1]) == 3
    assert drawn[0] == drawn[2] != drawn[1]
    assert drawn[0] != [record["id"] for record in OURS[:3]]
    entry = meta(tmp_path, "one")["chains"]
    assert (entry["annotation"], entry["repeat_time"]) == ("/final/stages/one/chains.jsonl", 1)


def test_another_set_is_written_as_it_passed_the_check(tmp_path: Path, others: str) -> None:
    found = write(tmp_path, one={"others": DataSetConfig(others, repeats=2)})
    assert found.stages[0]["samples"] == 22
    entry = meta(tmp_path, "one")["others"]
    assert (entry["root"], entry["length"], entry["repeat_time"]) == (str(tmp_path / "other"), 11, 2)
    records = lines(tmp_path, "one/others")
    assert records[10]["image"] == ["a.png"]
    assert {record["conversations"][1]["value"] for record in records} == {"Air."}


def test_a_share_of_another_set_keeps_to_its_floor(tmp_path: Path, others: str) -> None:
    assert write(tmp_path, one={"others": DataSetConfig(others, repeats=0.2)}).stages[0]["samples"] == 2
    assert write(tmp_path, one={"others": DataSetConfig(others, repeats=0.01)}).stages[0]["samples"] == 1


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("\n", "line 12, record (no id): a blank line"),
        ("{\n", "line 12, record (no id): not JSON"),
        ("\xff\n", "line 12, record (no id): not JSON"),
        ("[]\n", "line 12, record (no id): not a JSON object"),
        (line(77, image=None), "line 12, record 77: `image` is not a list"),
        (line(77, image=["b.png"]), "line 12, record 77: 1 pictures, but 0 <image>"),
        (line(77, image="b.png"), "b.png is not there"),
        (line(77, conversations=[{"from": "bot", "value": "a"}]), "line 12, record 77: turn 1"),
        (line(77, conversations=[{"from": "human"}]), "line 12, record 77: turn 1"),
        (
            line(77, conversations=[{"from": "human", "value": "?" * 9000}, {"from": "gpt", "value": "a"}]),
            "at most 8192",
        ),
    ],
)
def test_a_line_that_the_trainer_would_not_read_is_refused_with_file_line_and_id(
    tmp_path: Path, others: str, bad: str, words: str
) -> None:
    with open(others, "ab") as file:
        file.write(bad.encode("latin-1"))
    with pytest.raises(RefusedRun) as refused:
        write(tmp_path, one={"others": DataSetConfig(others, repeats=0.1)})
    assert str(refused.value).startswith(f"{others}: 1 records")
    assert words in str(refused.value)
    assert not (tmp_path / "new/stages/one/others.jsonl").exists()


def test_many_bad_lines_are_counted_and_the_first_listed(tmp_path: Path, others: str) -> None:
    Path(others).write_text("\n" * 30)
    with pytest.raises(RefusedRun, match="30 records") as refused:
        write(tmp_path, one={"others": DataSetConfig(others)})
    assert len(str(refused.value).splitlines()) == 21


def test_what_has_no_path_is_left_out_with_a_note(tmp_path: Path) -> None:
    found = write(
        tmp_path, one={"x": DataSetConfig(None)}, two={"y": DataSetConfig(None), "c": DataSetConfig("chains")}
    )
    assert [stage["name"] for stage in found.stages] == ["two"]
    assert found.notes == [
        "stage one: left out for want of a path: x",
        "stage one: left out, it has no data set",
        "stage two: left out for want of a path: y",
    ]


@pytest.mark.parametrize(
    ("name", "key", "given", "words"),
    [
        ("merged", "c", DataSetConfig("chains"), "stages.merged: not usable"),
        ("validation", "c", DataSetConfig("chains"), "stages.validation: not usable"),
        *(
            (name, "c", DataSetConfig("chains"), f"stages.{name}: not usable")
            for name in ("adapter", "checkpoints", "logs")
        ),
        ("steps_mpo", "c", DataSetConfig("chains"), "stages.steps_mpo: not usable"),
        ("../x", "c", DataSetConfig("chains"), "not usable"),
        ("one", "a/b", DataSetConfig("chains"), "stages.one.sets.a/b: not usable"),
        ("one", "c", DataSetConfig("chains", repeats=1.5), "stages.one.sets.c.repeats: 1.5"),
        ("one", "c", DataSetConfig("chains", repeats=0), "stages.one.sets.c.repeats: 0"),
        ("one", "c", DataSetConfig("/gone.jsonl"), "stages.one.sets.c.path: no such file: /gone.jsonl"),
        ("one", "c", DataSetConfig("chains", root="/gone"), "stages.one.sets.c.root: no such folder"),
        ("one", "c", DataSetConfig(None), "no data set of any stage has a path"),
    ],
)
def test_what_cannot_be_a_stage_is_refused(name: str, key: str, given: DataSetConfig, words: str) -> None:
    with pytest.raises(RefusedRun) as refused:
        check_stages({name: StageConfig({key: given})})
    assert words in str(refused.value)


@pytest.mark.parametrize("name", ["mpo", "steps_mpo2", "_mpo_x", "validation2", "stage-1.b"])
def test_a_name_that_only_looks_like_a_reserved_one_is_a_stage(name: str) -> None:
    check_stages({name: StageConfig({"c": DataSetConfig("chains")})})


def test_pictures_of_another_set_lie_in_its_own_folder_or_below_the_root_that_is_given(
    tmp_path: Path, others: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both absolute: the trainer is started elsewhere."""
    pictures = (tmp_path / "pictures").resolve()
    pictures.mkdir()
    (tmp_path / "other/a.png").rename(pictures / "a.png")
    with pytest.raises(RefusedRun, match=f"{tmp_path}/other/a.png is not there"):
        write(tmp_path, one={"others": DataSetConfig(others)})
    monkeypatch.chdir(tmp_path)
    write(tmp_path, one={"others": DataSetConfig("other/set.jsonl", root="pictures")})
    assert meta(tmp_path, "one")["others"]["root"] == str(pictures)


def test_a_share_of_our_chains_is_read_below_the_export(tmp_path: Path) -> None:
    write(tmp_path, one={"chains": DataSetConfig("chains", repeats=0.5)})
    assert meta(tmp_path, "one")["chains"]["root"] == "/final"


def test_an_empty_set_is_refused(tmp_path: Path, others: str) -> None:
    Path(others).write_text("")
    with pytest.raises(RefusedRun, match=f"the data set {others} is empty"):
        write(tmp_path, one={"others": DataSetConfig(others)})


def test_the_papers_curriculum_gives_the_papers_counts() -> None:
    """Sizes are METHOD's counts without repeats, shares floors; METHOD has SLAKE's and PathVQA's of stage 1 swapped."""
    size = {
        "mmrp_text": 55_630, "mmrp_image_text": 29_390, "huatuo_alignment": 646_759, "huatuo_instruction": 646_759,
        "pmc_vqa": 152_603, "vqa_rad": 1_794, "slake": 9_835, "path_vqa": 19_755,
    }  # fmt: skip
    stages = compose_job("export", ExportJob, ["stages=paper", "run.dir=x", "export.dir=x"]).stages
    counts = {
        name: {key: int(size[key] * one.repeats) for key, one in stage.sets.items() if key in size}
        for name, stage in stages.items()
    }
    first = {
        "huatuo_alignment": 129_351, "huatuo_instruction": 129_351, "pmc_vqa": 30_520, "vqa_rad": 1_794,
        "slake": 3_934, "path_vqa": 3_951,
    }  # fmt: skip
    assert counts["stage1"] == {"mmrp_text": 111_260, **first}
    assert counts["stage2"] == {"mmrp_text": 55_630, "mmrp_image_text": 58_780, **first}
    assert counts["stage3"] == {**size, "vqa_rad": 8_970}
    assert "chains" in stages["stage3"].sets
