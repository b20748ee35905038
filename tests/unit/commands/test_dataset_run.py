"""A run over a Dataset of the user's own, as far as it needs no Ray: a stand-in gives the batches."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

import mics_ray
from mics_ray.commands import generate as command
from mics_ray.config.schema import Config
from mics_ray.errors import RefusedRun
from mics_ray.io.cases import read_places, survey_cases
from tests.unit.io.test_cases import record


class Batches:
    """What :func:`mics_ray.generate` asks of a Ray Dataset."""

    def __init__(self, *batches: list[dict[str, Any]]) -> None:
        self._tables = [pa.Table.from_pylist(batch) for batch in batches]
        self.context = SimpleNamespace(execution_options=SimpleNamespace(preserve_order=False))

    def iter_batches(self, batch_size: int, batch_format: str) -> Any:
        assert batch_format == "pyarrow"
        assert self.context.execution_options.preserve_order
        return iter(self._tables)


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configurations that would be run."""
    found: list[Config] = []
    monkeypatch.setattr(command, "generate", lambda config: found.append(config) or 0)
    return found


def test_the_records_are_kept_in_the_runs_folder_and_searched(tmp_path: Path, searched: list[Config]) -> None:
    picture = {"bytes": b"one", "path": None}
    rows = [record(f"c{number}", images=[picture], ward="secret") for number in range(5)]
    given = ["experiment=demo", f"run.dir={tmp_path}/run", "seed=3"]
    for _ in range(2):
        assert mics_ray.generate(Batches(rows[:2], rows[2:]), given) == 0
    kept = tmp_path / "run/dataset.parquet"
    assert [config.data.cases for config in searched] == [str(kept)] * 2
    assert searched[0].seed == 3
    assert kept.stat().st_mode & 0o777 == 0o600
    found = [item for span in survey_cases(kept).spans for _, item in read_places(span)]
    assert [(item.id, item.images) for item in found] == [
        (f"c{number}", (f"dataset.parquet#{number + 1}/1",)) for number in range(5)
    ]
    assert b"secret" not in kept.read_bytes(), "only the format's columns"
    assert mics_ray.generate(Batches(rows[:2], rows[2:]), searched[0]) == 0


def test_what_is_no_dataset_of_cases_is_refused_and_leaves_the_folder_as_it_was(
    tmp_path: Path, searched: list[Config]
) -> None:
    given = ["experiment=demo", f"run.dir={tmp_path}/run"]
    kept = tmp_path / "run/dataset.parquet"
    for batches, said in [
        ([], "holds no records"),
        ([[{"other": 1}]], "none of the columns"),
        ([[record("a")], [record("b", images=["a.png"])]], "change from block to block"),
        ([[record("a")], [{"rid": "b", "messages": 5}]], "change from block to block"),
    ]:
        with pytest.raises(RefusedRun, match=said):
            mics_ray.generate(Batches(*batches), given)
        assert not kept.exists()
    mics_ray.generate(Batches([record("a")]), given)
    before = kept.read_bytes()
    with pytest.raises(RefusedRun, match="was begun with other records"):
        mics_ray.generate(Batches([record("b")]), given)
    assert kept.read_bytes() == before
    assert sorted(path.name for path in kept.parent.glob("*.parquet*")) == ["dataset.parquet"]
    assert len(searched) == 1
