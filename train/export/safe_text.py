"""Text that a trainer's tokenizer reads as plain words.

InternVL's collator takes token 0 for padding, and in its tokenizers token 0 is the character ``!``: it would drop out
of the attention. So ``!=`` becomes ``≠``, and other runs of ``!`` a full stop.
"""

import re

from mics_ray.core.text import neutralise

_TOKEN = re.compile(
    r"<(/?)(s|unk|pad|bos|eos|mask|think|tool_call|tool_response|bbox|ref-object)>|\[(UNUSED_TOKEN_\d+)\]", re.I
)


def trainer_safe(text: str) -> str:
    """``text`` without control tokens of the tokenizers and placeholders that trainers know, and without ``!``.

    Control tokens become words in round brackets. Safe text stays as it is.
    """
    # In this order: a token could be what is left when a `!` inside it has gone.
    plain = re.sub(r"!+", ".", text.replace("!=", "≠"))
    return _TOKEN.sub(_worded, neutralise(plain))


def _worded(match: re.Match[str]) -> str:
    return f"({match[3]})" if match[3] else f"({match[1]}{match[2].lower()})"
