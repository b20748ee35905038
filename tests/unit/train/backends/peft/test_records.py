import json
from pathlib import Path
from typing import Any

import pytest

from mics_ray.errors import RefusedRun
from tests.support.tiny_training import record, write_stage
from train.backends.peft.records import Records, TrainingRecord, Turn, parse_training_record
from train.stages import read_stages

pytestmark = pytest.mark.heavy


def records(folder: Path, *found: dict[str, Any], repeat: int = 1) -> Records:
    write_stage(folder, list(found), repeat=repeat)
    return Records(read_stages(folder)[0].entries)


def test_a_record_is_read_with_its_pictures_and_turns(tmp_path: Path) -> None:
    assert records(tmp_path, record(3, 2))[0] == TrainingRecord(
        "phantom-3",
        (tmp_path / "images/3.png",) * 2,
        (
            Turn("user", "<image>\n<image>\nWhich finding does the film show?"),
            Turn("assistant", record(3)["conversations"][1]["value"]),
        ),
    )


def test_repeats_come_as_samples_of_one_line(tmp_path: Path) -> None:
    found = records(tmp_path, record(0), record(1, 2), repeat=3)
    assert [found[number].id for number in range(len(found))] == ["phantom-0"] * 3 + ["phantom-1"] * 3
    assert [found.line_number(number) for number in range(6)] == [0, 0, 0, 1, 1, 1]
    assert found.sizes[:, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert [one.id for one in found.iter_lines()] == ["phantom-0", "phantom-1"]


def test_several_data_sets_of_a_stage_are_one_row_of_samples(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_stage(tmp_path / name, [record(ord(name))])
    entries = [stage.entries[0] for name in ("a", "b") for stage in read_stages(tmp_path / name)]
    found = Records(entries)
    assert [(found[n].id, found[n].pictures[0].parent.parent.name) for n in (0, 1)] == [
        ("phantom-97", "a"),
        ("phantom-98", "b"),
    ]


def test_a_picture_that_is_gone_is_refused_with_the_record_and_the_path(tmp_path: Path) -> None:
    write_stage(tmp_path, [record(0), record(1)])
    (tmp_path / "images/1.png").unlink()
    with pytest.raises(RefusedRun, match=r"record phantom-1: picture .*images/1\.png is not there"):
        Records(read_stages(tmp_path)[0].entries)


@pytest.mark.parametrize(
    ("turns", "pictures", "problem"),
    [
        ([("human", "q")], 0, "alternate"),
        ([("gpt", "a"), ("human", "q")], 0, "alternate"),
        ([("human", "q"), ("gpt", "a"), ("system", "s")], 0, "first turn"),
        ([("human", "q"), ("gpt", "a")], 1, "1 pictures, but 0 <image>"),
        ([("human", "<image>\nq"), ("gpt", "a")], 0, "0 pictures, but 1 <image>"),
        ([("human", "q"), ("gpt", "<image>")], 0, "outside the human"),
        ([("user", "q"), ("gpt", "a")], 0, "not in InternVL's form"),
    ],
)
def test_a_conversation_that_cannot_be_learnt_is_refused_with_the_id(
    turns: list[tuple[str, str]], pictures: int, problem: str
) -> None:
    content = {"id": "r7", "image": ["p.png"] * pictures, "conversations": [{"from": r, "value": v} for r, v in turns]}
    with pytest.raises(RefusedRun, match=rf"record r7 .*{problem}"):
        parse_training_record(json.dumps(content).encode(), Path("/root"), "x.jsonl, line 1")


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b'{"id": 1', b'"text"'])
def test_a_line_without_an_id_is_refused_with_its_place(line: bytes) -> None:
    with pytest.raises(RefusedRun, match=r"x\.jsonl, line 4: no JSON record with an id"):
        parse_training_record(line, Path("/root"), "x.jsonl, line 4")
