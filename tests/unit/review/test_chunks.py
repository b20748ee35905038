"""The page's data in pieces: bounded, whole, and harmless whatever they hold."""

import re
from typing import Any

import pytest

from mics_ray.review.data import chunks
from mics_ray.review.data.chunks import CaseChunks, decode_data, encode_data, unwrap_script, wrap_script
from tests.support.run_folders import row

HOSTILE = "</script><script>alert(1)</script> \u2028 \u2029 <!-- ]]> \\u0022 \" ' \x00"


def test_a_piece_comes_back_as_it_was_and_holds_nothing_that_ends_its_script() -> None:
    value = {"text": HOSTILE, "list": [1, None, True, 0.5], "other": "気胸 שלום 👩\u200d⚕️"}
    script = wrap_script("cases/a/0", encode_data(value))
    assert re.fullmatch(r'MICS\.put\("cases/a/0","[A-Za-z0-9+/=]+"\);\n', script)
    assert decode_data(unwrap_script(script)) == value


def test_pieces_are_bounded_and_every_case_is_found_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 20_000)
    monkeypatch.setattr(chunks, "LIST_ENTRIES", 7)
    written: dict[str, Any] = {}
    made = CaseChunks("a", lambda name, text: written.update({name: decode_data(text)}))
    for number in range(25):
        made.add_row(row(f"case-{number}"), more={"more": number})
    made.close()
    made.close()
    cases = [written[f"cases/a/{at}"] for at in range(len(made.first))]
    assert len(cases) > 3
    assert [one["id"] for piece in cases for one in piece] == [f"case-{number}" for number in range(25)]
    assert made.first == [sum(map(len, cases[:at])) for at in range(len(cases))]
    assert [len(written[f"list/a/{at}"]["id"]) for at in range(made.lists)] == [7, 7, 7, 4]
    assert written["list/a/3"]["more"] == [21, 22, 23, 24]
    assert set(written) == {f"cases/a/{at}" for at in range(len(cases))} | {f"list/a/{at}" for at in range(4)}
