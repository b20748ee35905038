"""Rows of Arrow as Python's: the same values as pyarrow gives, whatever is null and wherever a batch was cut."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mics_ray.io.results.python_rows import list_rows
from mics_ray.io.row_schema import SCHEMA

MAPS = pa.schema([("usage", pa.map_(pa.string(), pa.struct([("calls", pa.int64())]))), ("when", pa.timestamp("us"))])
FLAT = {pa.string(): st.text(max_size=3), pa.bool_(): st.booleans(), pa.float64(): st.floats(allow_nan=False)}


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of an Arrow type, nulls at any depth."""
    if pa.types.is_struct(kind):
        found: st.SearchStrategy[Any] = st.fixed_dictionaries({field.name: values(field.type) for field in kind})
    elif pa.types.is_list(kind):
        found = st.lists(values(kind.value_type), max_size=2)
    elif pa.types.is_integer(kind):
        found = st.integers(-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1)
    else:
        found = FLAT[kind]
    return st.none() | found


COLUMNS = ("case_id", "context_names_answer", "images", "leak_checks", "scores", "seed", "seconds", "nodes")
ROWS = st.lists(st.fixed_dictionaries({name: values(SCHEMA.field(name).type) for name in COLUMNS}), max_size=3)


@given(ROWS, st.integers(0, 3), st.integers(0, 3))
def test_the_values_are_those_that_pyarrow_gives(rows: list[dict[str, Any]], first: int, count: int) -> None:
    batch = pa.RecordBatch.from_pylist(rows, schema=pa.schema([SCHEMA.field(name) for name in COLUMNS]))
    assert list_rows(batch) == rows
    cut = batch.slice(min(first, len(rows)), count)
    assert list_rows(cut) == cut.to_pylist()


def test_whole_numbers_beside_nulls_keep_every_digit() -> None:
    batch = pa.RecordBatch.from_pydict({"seed": pa.array([None, 2**62 + 1], pa.int64())})
    assert list_rows(batch) == [{"seed": None}, {"seed": 2**62 + 1}]


def test_maps_of_earlier_rows_are_dicts_and_a_key_twice_is_refused() -> None:
    rows = [{"usage": {"a": {"calls": 1}}, "when": None}, {"usage": None, "when": None}]
    assert list_rows(pa.RecordBatch.from_pylist(rows, schema=MAPS)) == rows
    twice = pa.array([[("a", {"calls": 1}), ("a", {"calls": 2})]], MAPS.field("usage").type)
    with pytest.raises(KeyError):
        list_rows(pa.RecordBatch.from_arrays([twice], names=["usage"]))
