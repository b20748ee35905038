import pytest

from mics_ray.io.storable import order_columns


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("plain", "plain"),
        ("é 😀", "é 😀"),
        (r"a \u0000 in words", r"a \u0000 in words"),
        ("a\0", "a␀"),
        ("\ud800", "�"),
    ],
)
def test_columns_come_in_order_with_strings_that_can_be_stored_however_deep(text: str, stored: str) -> None:
    ordered = order_columns({"b": [{"k": [text]}], "a": text, "c": None}, ("a", "b"))
    assert list(ordered) == ["a", "b"]
    assert ordered == {"a": stored, "b": [{"k": [stored]}]}


@pytest.mark.parametrize("value", [2**70, float("inf"), {1: "x\0"}, object(), b"\xff"])
def test_values_of_any_kind_are_kept(value: object) -> None:
    ordered = order_columns({"a": value, "b": "\0"}, ("a", "b"))
    assert ordered["b"] == "␀"
    assert ordered["a"] == ({1: "x␀"} if isinstance(value, dict) else value)
