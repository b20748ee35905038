"""A run over a Ray Dataset of the user's own, in the Ray that its process is connected to."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import ray

import mics_ray
from mics_ray.errors import RefusedRun
from tests.support.program import rows
from tests.support.provider import Provider, record
from tests.support.run_folders import noise

pytestmark = pytest.mark.cluster


def make_dataset(count: int, more: str = "") -> Any:
    """Records that a pipeline makes, with a picture each, in several blocks."""
    noise(1).save(shown := io.BytesIO(), "PNG")

    def make_record(row: dict[str, Any]) -> dict[str, Any]:
        made = json.loads(record(f"case-{row['id']:03}{more}"))
        return made | {"images": [{"bytes": shown.getvalue(), "path": "a.png"}]}

    return ray.data.range(count, override_num_blocks=5).map(make_record)


def test_a_dataset_is_searched_and_gone_on_with(ray_cluster: None, tmp_path: Path) -> None:
    with Provider() as provider:
        provider.write_groups(tmp_path / "conf")
        given = ["mentors=test", "interns=test", "judge=test", f"run.dir={tmp_path}/run"]
        assert mics_ray.generate(make_dataset(40), given, tmp_path / "conf") == 0
        assert ray.is_initialized(), "the user's Ray stays"
        found, calls = rows(tmp_path / "run"), provider.calls()
        assert [row["case_id"] for row in found] == [f"case-{number:03}" for number in range(40)]
        assert [row["images"] for row in found] == [[f"dataset.parquet#{number}/1"] for number in range(1, 41)]
        assert {row["outcome"] for row in found} <= {"solved", "depth", "dead_end"}

        assert mics_ray.generate(make_dataset(40), given, tmp_path / "conf") == 0
        assert provider.calls() == calls, "nothing was left to do"
        with pytest.raises(RefusedRun, match="was begun with other records"):
            mics_ray.generate(make_dataset(40, "x"), given, tmp_path / "conf")
    assert rows(tmp_path / "run") == found
