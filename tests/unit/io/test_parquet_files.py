"""A Parquet file that was read leaves nothing in memory, whoever still has it, and however its reading ended."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mics_ray.io.parquet_files import open_parquet


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def count_metadata() -> int:
    return sum(type(one).__name__ in ("FileMetaData", "ParquetSchema") for one in gc.get_objects())


def write(folder: Path) -> Path:
    pq.write_table(pa.table({"a": [1, 2], "b": [["x"], []]}), path := folder / "x.parquet")
    gc.collect()
    return path


def test_read_to_its_end(tmp_path: Path) -> None:
    path, before = write(tmp_path), count_metadata()
    with open_parquet(path) as file:
        assert [batch.num_rows for batch in file.iter_batches(columns=["b.list.element"])] == [2]
        assert (len(file.schema), file.metadata.num_rows) == (2, 2)
    assert count_metadata() == before
    del file


def test_left_in_the_middle(tmp_path: Path) -> None:
    path, before = write(tmp_path), count_metadata()

    def leave() -> None:
        with path.open("rb") as stream, open_parquet(stream) as file:
            assert len(file.schema) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert count_metadata() == before


def test_one_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(pa.ArrowException), open_parquet(tmp_path / "x.parquet"):
        pass
