import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.export.safe_text import trainer_safe

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
    assert trainer_safe(f"see {token} here").lower() == f"see ({token.strip('<>[]|').lower()}) here"


@given(st.lists(pieces, max_size=14).map("".join))
def test_nothing_that_a_tokenizer_takes_for_control_survives(text: str) -> None:
    safe = trainer_safe(text)
    assert "!" not in safe
    assert not [token for token in TOKENS if token.lower() in safe.lower()]
    assert trainer_safe(safe) == safe


@given(st.text())
def test_plain_text_is_left_alone(text: str) -> None:
    if not re.search(r"[!<>\[\]]", text):
        assert trainer_safe(text) == text


def test_exclamation_marks_become_full_stops_and_unequal_signs_stay_unequal() -> None:
    assert trainer_safe("Air! No vessels!! a != b, 3 < 4 > 2") == "Air. No vessels. a ≠ b, 3 < 4 > 2"


def test_a_token_does_not_come_out_of_what_an_exclamation_mark_leaves() -> None:
    assert "<|im.end|>" not in trainer_safe("<|im!end|>")
