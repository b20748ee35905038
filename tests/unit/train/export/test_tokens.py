import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mics_ray.assemble.locations import resolve_embedded
from mics_ray.errors import RefusedRun
from train.export.config import LengthConfig
from train.export.tokens import SYSTEM_TOKENS, count_tiles, make_ruler, make_trainer_safe

TOKENS = [
    "<image>", "<img>", "</img>", "<IMG_CONTEXT>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>", "<video>",
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|image_pad|>", "<|fim_prefix|>", "<s>", "</s>", "<unk>", "<pad>",
    "<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "<audio>", "<bbox>", "<ref-object>",
    "[UNUSED_TOKEN_145]",
]  # fmt: skip
"""Control tokens of InternVL's and Qwen's tokenizers, and placeholders of LLaMA-Factory and ms-swift."""
pieces = st.sampled_from(
    [*TOKENS, "!", "!!", "=", "<", ">", "|", "/", "[", "]", "im", "img", "s", "image", "é", "\n", " "]
)


@pytest.mark.parametrize("token", TOKENS)
def test_a_control_token_becomes_words(token: str) -> None:
    assert make_trainer_safe(f"see {token} here").lower() == f"see ({token.strip('<>[]|').lower()}) here"


@given(st.lists(pieces, max_size=14).map("".join))
def test_nothing_that_a_tokenizer_takes_for_control_survives(text: str) -> None:
    safe = make_trainer_safe(text)
    assert "!" not in safe
    assert not [token for token in TOKENS if token.lower() in safe.lower()]
    assert make_trainer_safe(safe) == safe


@given(st.text())
def test_plain_text_is_left_alone(text: str) -> None:
    if not re.search(r"[!<>\[\]]", text):
        assert make_trainer_safe(text) == text


def test_exclamation_marks_become_full_stops_and_unequal_signs_stay_unequal() -> None:
    assert make_trainer_safe("Air! No vessels!! a != b, 3 < 4 > 2") == "Air. No vessels. a ≠ b, 3 < 4 > 2"


def test_a_token_does_not_come_out_of_what_an_exclamation_mark_leaves() -> None:
    assert "<|im.end|>" not in make_trainer_safe("<|im!end|>")


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
    assert count_tiles(width, height, most, 448) == count


def test_pictures_share_the_tiles() -> None:
    measure = make_ruler(LengthConfig()).count_tokens
    talk = [("system", "s"), ("human", "<image>\nq"), ("gpt", "a")]
    text = measure(talk, [])
    assert measure(talk, [(448, 448)]) - text == 256 + 2
    assert measure(talk, [(3000, 100)]) - text == 7 * 256 + 2
    assert measure(talk, [(3000, 100)] * 3) - text == 3 * (3 * 256 + 2)
    assert measure(talk, [(3000, 100)] * 7) - text == 7 * (256 + 2)


def test_without_a_tokenizer_every_byte_counts_in_the_longer_form() -> None:
    measure = make_ruler(LengthConfig()).count_tokens
    one = measure([("human", "a"), ("gpt", "b")], [])
    assert one == SYSTEM_TOKENS + len("<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n")
    assert measure([("human", "aé"), ("gpt", "b")], []) == one + 2
    assert measure([("human", "a\u0958"), ("gpt", "b")], []) == one + 6  # the Hindi letter is two after NFC


def test_a_tokenizer_counts_what_the_trainer_makes_of_the_whole_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from tokenizers import Tokenizer

    folder = Path(resolve_embedded("embedded:interns/internvl"))
    tokenizer = Tokenizer.from_str(json.dumps(json.loads((folder / "tokenizer.json").read_text())))
    tokenizer.add_special_tokens(["<img>", "</img>", "<IMG_CONTEXT>", "<|im_start|>", "<|im_end|>"])
    talk = [("human", "<image>\n<image>\nWhat is   shown?\n\n## Now"), ("gpt", "### Step 1: Air.\n\nEnd")]
    shown = "<img>" + "<IMG_CONTEXT>" * 256 + "</img>"
    whole = "".join(
        f"<|im_start|>{role}\n{value.replace('<image>', shown)}<|im_end|>\n"
        for role, (_, value) in zip(("user", "assistant"), talk, strict=True)
    )
    measured = make_ruler(LengthConfig(tokenizer="embedded:interns/internvl")).count_tokens(talk, [(56, 56)] * 2)
    assert measured == SYSTEM_TOKENS + len(tokenizer.encode(whole, add_special_tokens=False).ids)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(RefusedRun, match=f"length.tokenizer: cannot load {tmp_path}"):
        make_ruler(LengthConfig(tokenizer=str(tmp_path)))
