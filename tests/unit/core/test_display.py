import sys
from unicodedata import category

from mics_ray.core.display import make_one_line, make_printable, make_storable, make_value_storable


def test_only_lone_surrogates_and_nul_are_replaced() -> None:
    assert make_storable("a\0b\ud800c\udfffd") == "a␀b�c�d"
    kept = "é 😀 ‮right-to-left‬ \x01\t\r\n \ufffe"
    assert make_storable(kept) == kept


def test_values_are_cleaned_at_every_depth() -> None:
    value = {"k": ["\ud800", ("x\0", {"n": None, "f": 0.5, "b": True})]}
    assert make_value_storable(value) == {"k": ["�", ["x␀", {"n": None, "f": 0.5, "b": True}]]}


def test_every_character_that_is_obeyed_or_turns_the_direction_is_replaced_and_no_other() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    turning = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    bad = [mark in turning or category(mark) in ("Cc", "Cs", "Zl", "Zp") for mark in every]
    expected = "".join("\ufffd" if one else mark for mark, one in zip(every, bad, strict=True))
    assert make_one_line(every) == expected
    assert make_printable(every) == f"{expected[:10]}\n{expected[11:]}"
