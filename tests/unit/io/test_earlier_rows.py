"""Rows that were written without a field, or with maps, in the form of today's."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mics_ray.core.types import Usage
from mics_ray.io.rows import read_usage
from mics_ray.io.shards.kind import RowKind, ShardError
from mics_ray.io.shards.reading import iter_rows, read_shard
from mics_ray.io.shards.store import ShardStore
from tests.support.damage import count_found_flips
from tests.support.run_folders import row
from tests.support.version_2 import DATA, SCHEMA_2

SHARD = DATA / "results/part-000000.parquet"

_INNER = pa.struct([("a", pa.int64()), ("more", pa.string())])
_ITEM = pa.struct([("name", pa.string()), ("a", pa.int64()), ("b", pa.int64()), ("inner", pa.list_(_INNER))])
KIND = RowKind(
    pa.schema([("id", pa.string()), ("items", pa.list_(_ITEM)), ("lone", _INNER), ("new", pa.list_(pa.string()))]),
    "id",
    before={"items.b": 7, "items.inner.more": None, "lone.more": "", "new": ()},
)


def read(folder: Path, rows: list[dict[str, Any]], schema: pa.Schema, *columns: str) -> list[dict[str, Any]]:
    path = folder / "part-000000.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return list(read_shard(path, columns or KIND.schema.names, KIND))


def test_a_real_row_of_version_2_has_the_form_of_version_3_and_loses_nothing() -> None:
    stored = pq.read_table(SHARD).to_pylist()
    found = list(iter_rows(SHARD.parent))
    assert len(stored) == len(found) == 5
    for old, one in zip(stored, found, strict=True):
        assert one["scores"] == [{"mentor": name, "scores": scores} for name, scores in old["scores"]]
        zeros = {"cached_tokens": 0, "reasoning_tokens": 0}
        assert one["usage"] == [{"model": name, **used, **zeros} for name, used in old["usage"]]
        assert read_usage(one) == {name: Usage(**used) for name, used in old["usage"]}
        assert {name: one[name] for name in one if name not in ("scores", "usage")} == {
            **{name: old[name] for name in old if name not in ("scores", "usage")},
            "other_answers": [],
            "context": "",
            "context_names_answer": None,
            "leak_checks": [],
            "nodes": [node | {"leak_checks": [], "unasked": 0} for node in old["nodes"]],
        }
    assert sum(len(one["usage"]) for one in found) > 10
    assert {one["schema_version"] for one in found} == {2}, "who wrote it is told as it was"


def test_columns_may_be_chosen_in_any_version() -> None:
    (first, *_) = iter_rows(SHARD.parent, ["usage", "case_id"])
    assert list(first) == ["usage", "case_id"]
    assert first["usage"][0]["cached_tokens"] == 0


def test_shards_of_both_versions_stand_in_one_folder(tmp_path: Path) -> None:
    (tmp_path / SHARD.name).write_bytes(SHARD.read_bytes())
    store = ShardStore(tmp_path)
    again = [row("case-2"), row("another")]
    assert store.commit(again).written == ("another",)
    assert [one["case_id"] for one in iter_rows(tmp_path)] == [f"case-{n}" for n in range(4)] + ["unusable", "another"]
    assert store.commit([*iter_rows(SHARD.parent)]).written == ()


def test_fields_that_were_added_later_are_filled_in_at_every_depth(tmp_path: Path) -> None:
    inner = pa.struct([("a", pa.int64())])
    item = pa.struct([("a", pa.int64()), ("inner", pa.list_(inner))])
    schema = pa.schema([("id", pa.string()), ("items", pa.map_(pa.string(), item)), ("lone", inner)])
    rows = [
        {"id": "x", "items": [("n", {"a": 1, "inner": [{"a": 2}, None]}), ("m", None)], "lone": {"a": 3}},
        {"id": "y", "items": None, "lone": None},
        {"id": "z", "items": [], "lone": {"a": None}},
    ]
    assert read(tmp_path, rows, schema) == [
        {
            "id": "x",
            "items": [
                {"name": "n", "a": 1, "b": 7, "inner": [{"a": 2, "more": None}, None]},
                {"name": "m", "a": None, "b": 7, "inner": None},
            ],
            "lone": {"a": 3, "more": ""},
            "new": (),
        },
        {"id": "y", "items": None, "lone": None, "new": ()},
        {"id": "z", "items": [], "lone": {"a": None, "more": ""}, "new": ()},
    ]
    assert read(tmp_path, rows, schema, "new") == [{"new": ()}] * 3, "a column that the file has not got"


def test_a_flipped_bit_in_a_shard_of_version_2_is_found_or_changes_nothing(tmp_path: Path) -> None:
    path = Path(shutil.copy(SHARD, tmp_path))
    assert count_found_flips(path, list(iter_rows(SHARD.parent)), 100) > 35


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        (pa.schema([("id", pa.string())]), "items"),  # not in the list of those that were added
        (pa.schema([*KIND.schema, ("later", pa.string())]), "later"),
        (pa.schema([("id", pa.int64()), *list(KIND.schema)[1:]]), "id"),
        (KIND.schema.set(1, pa.field("items", pa.list_(_INNER))), r"items\.more"),
        (KIND.schema.set(1, pa.field("items", pa.list_(pa.struct([("name", pa.string())])))), r"items\.a"),
        (KIND.schema.set(1, pa.field("items", pa.map_(pa.int64(), _ITEM))), r"items\.name"),
        (KIND.schema.set(1, pa.field("items", pa.string())), "items"),
        (KIND.schema.set(2, pa.field("lone", pa.list_(_INNER))), "lone"),
        (pa.schema([*KIND.schema, ("a\x1bb", pa.string())]), r"a\Sb"),
    ],
)
def test_a_file_of_an_unknown_schema_is_refused_by_the_first_column_that_does_not_fit(
    tmp_path: Path, schema: pa.Schema, named: str
) -> None:
    with pytest.raises(ShardError, match=rf"of another schema \(column {named}\); read it with the version"):
        read(tmp_path, [], schema, "id")


def test_what_is_written_has_no_maps(tmp_path: Path) -> None:
    ShardStore(tmp_path).commit([row("a")])
    written = pq.read_schema(tmp_path / "part-000000.parquet")
    assert not [field for field in written if "map<" in str(field.type)]
    assert [field for field in SCHEMA_2 if "map<" in str(field.type)], "as those of version 2 had"


def test_a_part_of_a_column_of_version_2_comes_as_the_whole_column() -> None:
    (first, *_), (whole, *_) = iter_rows(SHARD.parent, ["case_id", "nodes.votes.verdict"]), iter_rows(SHARD.parent)
    assert first == {name: whole[name] for name in ("case_id", "nodes")}
