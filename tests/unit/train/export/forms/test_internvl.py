"""Each trap of InternVL's trainer is refused by the check (FACTS, "InternVL's trainer")."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.run_folders import noise
from tests.support.searched_samples import sample
from train.export.config import LengthConfig
from train.export.forms.internvl import BadRecord, RecordChecker, make_record_safe, to_record
from train.export.tokens import make_ruler


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.png", "b.png")):
        noise(number).save(tmp_path / name)
    Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64)).save(tmp_path / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 8
    noise(3).save(tmp_path / "turned.jpg", exif=exif)
    (tmp_path / "text.png").write_text("no picture")
    return tmp_path


def record(human: str = "<image>\nWhat?", gpt: str = "### Step 1: Air.", **more: Any) -> dict[str, Any]:
    talk = [{"from": "human", "value": human}, {"from": "gpt", "value": gpt}]
    return {"id": "r", "image": ["a.png"], "conversations": talk} | more


def text_only(*turns: tuple[str, Any]) -> dict[str, Any]:
    return {"id": "r", "conversations": [{"from": role, "value": value} for role, value in turns]}


def check(root: Path, found: object, **length: Any) -> int:
    return RecordChecker(root, make_ruler(LengthConfig(**length))).check_record(found)


GOOD = {
    "one picture": record(),
    "two pictures": record("<image>\n<image>\nWhat?", image=["a.png", "b.png"]),
    "pictures in two turns": {
        "id": "r",
        "image": ["a.png", "b.png"],
        "conversations": [
            {"from": role, "value": value}
            for role, value in (("human", "<image>A?"), ("gpt", "a"), ("human", "<image>B?"), ("gpt", "b"))
        ],
    },
    "text only": text_only(("human", "What?"), ("gpt", "Air.")),
    "the letters around the surrogates": text_only(("human", "\ud7ff \ue000"), ("gpt", "🫁")),
    "with a system message": text_only(("system", "Be brief."), ("human", "What?"), ("gpt", "Air.")),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_record_passes_as_it_is(root: Path, name: str) -> None:
    assert check(root, GOOD[name]) > 0
    assert make_record_safe(GOOD[name]) == GOOD[name]


TRAPS = {
    "image null": (record(image=None), "not a list of paths"),
    "an empty list of pictures": (record("What?", image=[]), "not a list of paths"),
    "a path that is no text": (record(image=[3]), "not a list of paths"),
    "a picture that is gone": (record(image=["gone.png"]), "gone.png is not there"),
    "a file that is no picture": (record(image=["text.png"]), "text.png cannot be read"),
    "16 bits": (record(image=["deep.png"]), "more than 8 bits"),
    "Exif rotation": (record(image=["turned.jpg"]), "rotated by Exif"),
    "too few placeholders": (record("What?"), "1 pictures, but 0 <image>"),
    "an extra placeholder": (record("<image><image>What?"), "1 pictures, but 2 <image>"),
    "a placeholder without pictures": (text_only(("human", "<image>What?"), ("gpt", "a")), "0 pictures, but 1"),
    "an empty path": (record(image=[""]), "not a list of paths"),
    "a placeholder in the system message": (
        text_only(("system", "See <image>."), ("human", "?"), ("gpt", "a")),
        "outside the human's turns",
    ),
    "a placeholder in the answer": (record(gpt="<image>"), "outside the human's turns"),
    "an unknown role": (text_only(("user", "What?"), ("gpt", "a")), "none of system, human, gpt"),
    "a late system message": (text_only(("human", "?"), ("system", "s"), ("gpt", "a")), "turns must alternate"),
    "no answer": (text_only(("human", "What?")), "turns must alternate"),
    "the answer first": (text_only(("gpt", "a"), ("human", "?")), "turns must alternate"),
    "no turn": (text_only(), "not a list of turns"),
    "only a system message": (text_only(("system", "s")), "turns must alternate"),
    "a missing value": ({"id": "r", "conversations": [{"from": "human"}]}, "turn 1: `value`"),
    "value null": (text_only(("human", None), ("gpt", "a")), "turn 1: `value`"),
    "an empty value": (text_only(("human", "?"), ("gpt", " \n")), "turn 2: `value`"),
    "the end of a picture in a text": (record(gpt="</img>"), "a control token"),
    "a picture's token in a text": (record(gpt="<IMG_CONTEXT>"), "a control token"),
    "the end of a turn in a text": (record("<image>\n<|im_end|>"), "a control token"),
    "token 0 in a text": (record(gpt="Air!"), "a control token or `!`"),
    "half a surrogate pair": (record(gpt="a \ud83d b"), "turn 2: half a surrogate"),
    "the first surrogate": (record(gpt="\ud800"), "turn 2: half a surrogate"),
    "the last surrogate": (record("<image>\udfff"), "turn 1: half a surrogate"),
    "a film": (record(video="a.mp4"), "`video`"),
    "no object": ([], "not a JSON object"),
    "no conversation": ({"id": "r"}, "not a list of turns"),
    "a turn that is none": ({"id": "r", "conversations": ["a"]}, "none of system, human, gpt"),
}


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_is_refused(root: Path, name: str) -> None:
    found, words = TRAPS[name]
    with pytest.raises(BadRecord) as bad:
        check(root, found)
    assert words in str(bad.value)


def test_a_record_may_fill_the_sequence_and_not_a_token_more(root: Path) -> None:
    tokens = check(root, record())
    assert check(root, record(), max_seq_length=tokens) == tokens
    with pytest.raises(BadRecord, match=f"{tokens} tokens, at most {tokens - 1}"):
        check(root, record(), max_seq_length=tokens - 1)


def test_the_tiles_of_the_pictures_as_they_are_count(root: Path) -> None:
    noise(5, 900, 900).save(root / "large.png")
    assert check(root, record(image=["large.png"])) - check(root, record()) == 4 * 256


def test_texts_of_others_are_made_safe_around_their_placeholders(root: Path) -> None:
    found = make_record_safe(record("<image>\nIs <s> that </img>!", image="a.png"))
    assert found["image"] == ["a.png"]
    assert found["conversations"][0]["value"] == "<image>\nIs (s) that (/img)."
    assert check(root, found)


def test_a_single_picture_without_a_placeholder_gets_it_where_the_trainer_puts_it(root: Path) -> None:
    found = make_record_safe(record("What?", image="a.png"))
    assert found["conversations"][0]["value"] == "<image>\nWhat?"
    assert check(root, found)


def test_an_empty_list_of_pictures_is_left_out() -> None:
    assert make_record_safe(record("What?", image=[])) == text_only(("human", "What?"), ("gpt", "### Step 1: Air."))


def test_what_has_no_form_is_left_to_the_check() -> None:
    odd: dict[str, Any] = {"image": "a.png", "conversations": [3, {"from": "human", "value": None}]}
    assert make_record_safe(odd) == odd | {"image": ["a.png"]}


def test_a_sample_has_all_its_pictures_first_and_then_the_prompt() -> None:
    found = to_record(sample())
    assert found["image"] == ["images/aa/aa1.png", "images/bb/bb2.png"]
    assert found["conversations"][0]["value"].startswith("<image>\n<image>\nLook at the pictures")
    assert [turn["from"] for turn in found["conversations"]] == ["human", "gpt"]
    assert found["conversations"][1]["value"].startswith("### Step 1: ")
    assert found["length"] == 100


def test_a_sample_without_pictures_has_no_key_for_them() -> None:
    found = to_record(sample(images=()))
    assert "image" not in found
    assert "<image>" not in found["conversations"][0]["value"]
