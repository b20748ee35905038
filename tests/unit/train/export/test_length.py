import json
from pathlib import Path

import pytest

from mics_ray.assemble.panel import embedded
from mics_ray.errors import RefusedRun
from train.export.config import LengthConfig
from train.export.length import SYSTEM_TOKENS, ruler, tiles


@pytest.mark.parametrize(
    ("width", "height", "most", "count"),
    [
        (448, 448, 6, 1),
        (10, 10, 6, 1),  # small squares stay one tile
        (896, 896, 6, 5),  # 2 x 2 and the thumbnail
        (640, 640, 6, 5),  # more than half of 2 x 2's pixels
        (633, 633, 6, 1),  # less than half of them
        (896, 448, 6, 3),
        (3000, 100, 6, 7),  # six in a row
        (100, 3000, 6, 7),
        (1000, 750, 12, 13),  # 4 x 3
        (1000, 750, 3, 1),
        (3000, 100, 1, 1),
    ],
)
def test_pictures_are_cut_as_the_trainer_cuts_them(width: int, height: int, most: int, count: int) -> None:
    assert tiles(width, height, most, 448) == count


def test_pictures_share_the_tiles() -> None:
    measure = ruler(LengthConfig()).measure
    talk = [("system", "s"), ("human", "<image>\nq"), ("gpt", "a")]
    text = measure(talk, [])
    assert measure(talk, [(448, 448)]) - text == 256 + 2
    assert measure(talk, [(3000, 100)]) - text == 7 * 256 + 2
    assert measure(talk, [(3000, 100)] * 3) - text == 3 * (3 * 256 + 2)
    assert measure(talk, [(3000, 100)] * 7) - text == 7 * (256 + 2)


def test_without_a_tokenizer_every_byte_counts_in_the_longer_form() -> None:
    measure = ruler(LengthConfig()).measure
    one = measure([("human", "a"), ("gpt", "b")], [])
    assert one == SYSTEM_TOKENS + len("<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n")
    assert measure([("human", "aé"), ("gpt", "b")], []) == one + 2
    assert measure([("human", "a\u0958"), ("gpt", "b")], []) == one + 6  # the Hindi letter is two after NFC


def test_a_tokenizer_counts_what_the_trainer_makes_of_the_whole_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from tokenizers import Tokenizer

    folder = Path(embedded("embedded:interns/internvl"))
    tokenizer = Tokenizer.from_str(json.dumps(json.loads((folder / "tokenizer.json").read_text())))
    tokenizer.add_special_tokens(["<img>", "</img>", "<IMG_CONTEXT>", "<|im_start|>", "<|im_end|>"])
    talk = [("human", "<image>\n<image>\nWhat is   shown?\n\n## Now"), ("gpt", "### Step 1: Air.\n\nEnd")]
    shown = "<img>" + "<IMG_CONTEXT>" * 256 + "</img>"
    whole = "".join(
        f"<|im_start|>{role}\n{value.replace('<image>', shown)}<|im_end|>\n"
        for role, (_, value) in zip(("user", "assistant"), talk, strict=True)
    )
    measured = ruler(LengthConfig(tokenizer="embedded:interns/internvl")).measure(talk, [(56, 56)] * 2)
    assert measured == SYSTEM_TOKENS + len(tokenizer.encode(whole, add_special_tokens=False).ids)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(RefusedRun, match=f"length.tokenizer: cannot load {tmp_path}"):
        ruler(LengthConfig(tokenizer=str(tmp_path)))
