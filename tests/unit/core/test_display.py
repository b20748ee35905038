from mics_ray.core.display import make_storable, make_value_storable


def test_only_lone_surrogates_and_nul_are_replaced() -> None:
    assert make_storable("a\0b\ud800c\udfffd") == "a␀b�c�d"
    kept = "é 😀 ‮right-to-left‬ \x01\t\r\n \ufffe"
    assert make_storable(kept) == kept


def test_values_are_cleaned_at_every_depth() -> None:
    value = {"k\0": ["\ud800", ("x", {"n": None, "f": 0.5, "b": True})]}
    assert make_value_storable(value) == {"k␀": ["�", ["x", {"n": None, "f": 0.5, "b": True}]]}
