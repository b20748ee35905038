"""What trainers' tokenizers make of a record: texts without control tokens, tokens of texts, tiles of pictures.

InternVL's collator takes token 0 for padding, and in its tokenizers token 0 is the character ``!``: it would drop out
of the attention. So ``!=`` becomes ``≠``, and other runs of ``!`` a full stop.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf

from mics_ray.core.reading.text import neutralise_placeholders
from mics_ray.errors import RefusedRun
from train.export.config import LengthConfig

PLACEHOLDER = "<image>"
SYSTEM_TOKENS = 192
"""Allowance for the system message of the conversation template ``internvl2_5``, which is 165 UTF-8 bytes long."""
_ROLES = {"system": "system", "human": "user", "gpt": "assistant"}
_MARKS = re.compile("!+")
_TOKEN = re.compile(
    r"<(/?)(s|unk|pad|bos|eos|mask|think|tool_call|tool_response|bbox|ref-object)>|\[(UNUSED_TOKEN_\d+)\]", re.I
)


def make_trainer_safe(text: str) -> str:
    """``text`` without control tokens of the tokenizers and placeholders that trainers know, and without ``!``.

    Control tokens become words in round brackets. Safe text stays as it is.
    """
    # In this order: a token could be what is left when a `!` inside it has gone.
    plain = _MARKS.sub(".", text.replace("!=", "≠")) if "!" in text else text
    # Most texts have none of the characters that all tokens begin with.
    return _TOKEN.sub(_write_as_words, neutralise_placeholders(plain)) if "<" in plain or "[" in plain else plain


def _write_as_words(match: re.Match[str]) -> str:
    return f"({match[3]})" if match[3] else f"({match[1]}{match[2].lower()})"


@lru_cache
def _list_grids(most: int) -> tuple[tuple[int, int], ...]:
    """(columns, rows) with at most ``most`` tiles, few tiles first."""
    sides = range(1, most + 1)
    return tuple(sorted(((c, r) for c in sides for r in sides if c * r <= most), key=lambda grid: grid[0] * grid[1]))


def count_tiles(width: int, height: int, most: int, size: int) -> int:
    """Tiles that a picture is cut into, the thumbnail that goes with more than one included.

    The grid is the one whose aspect ratio is nearest to the picture's; of equally near ones the larger, where the
    picture has more than half of its pixels. ``size`` is a tile's side in pixels.
    """
    nearest, count = inf, 1
    for columns, rows in _list_grids(most):
        distance = abs(width / height - columns / rows)
        if distance < nearest or (distance == nearest and width * height > size * size * columns * rows / 2):
            nearest, count = distance, columns * rows
    return count + 1 if count > 1 else 1


@dataclass(frozen=True, slots=True)
class Ruler:
    """Measures records. ``count`` gives the tokens of a text, which holds control tokens of the chat template."""

    config: LengthConfig
    count: Callable[[str], int]

    def count_tokens(self, turns: Sequence[tuple[str, str]], sizes: Sequence[tuple[int, int]]) -> int:
        """Tokens of a conversation: ``turns`` are (from, value), ``sizes`` (width, height) of its pictures.

        Each turn is tokenised by itself, and so is what stands between two pictures, as the trainer does it.
        """
        # The trainer shares max_dynamic_patch among the pictures of a sample.
        most = max(1, self.config.max_tiles // max(1, len(sizes)))
        pictures = sum(
            count_tiles(*size, most, self.config.image_size) * self.config.tokens_per_tile
            + 2  # with start and end tokens
            for size in sizes
        )
        system = 0 if turns and turns[0][0] == "system" else SYSTEM_TOKENS
        return system + pictures + self.count_text_tokens(turns)

    def count_text_tokens(self, turns: Sequence[tuple[str, str]]) -> int:
        """Tokens of the turns without pictures and system message."""
        return sum(self._count_turn(*turn) for turn in turns)

    def _count_turn(self, role: str, value: str) -> int:
        text = f"<|im_start|>{_ROLES[role]}\n{value}<|im_end|>\n"
        return sum(self.count(part) for part in text.split(PLACEHOLDER))


def make_ruler(config: LengthConfig) -> Ruler:
    """A ruler with the configured tokenizer, or with an upper bound. Raises :class:`RefusedRun`."""
    return Ruler(config, _load_token_counter(config.tokenizer) if config.tokenizer else bound_tokens)


def bound_tokens(text: str) -> int:
    """The most tokens that a byte-level tokenizer makes of ``text``, whether it normalises it (NFC) or not."""
    if text.isascii():
        return len(text)
    # NFC can lengthen a text: U+0958 is one character of 3 bytes, two of 3 bytes in NFC.
    return max(len(text.encode()), len(unicodedata.normalize("NFC", text).encode()))


def _load_token_counter(name: str) -> Callable[[str], int]:
    from mics_ray.assemble.locations import resolve_embedded

    try:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(resolve_embedded(name), trust_remote_code=False)
    except Exception as error:  # the library's loaders raise anything on what is no tokenizer
        raise RefusedRun(
            f"length.tokenizer: cannot load {name} ({type(error).__name__}); give a folder with a tokenizer that needs "
            "no code of its own, or leave it out for an upper bound"
        ) from None
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])
