"""The Ray Dataset of cases: what Ray Data reads comes out in the input's order, once, and its faults have names."""

import gzip
import io
import json
import time
from pathlib import Path

import pytest
import ray

from mics_ray.core.types import Case
from mics_ray.errors import RefusedRun
from mics_ray.io import scan
from mics_ray.io.cases import RecordPlace, Rejection
from mics_ray.io.dealt_records import read_pending
from mics_ray.io.index.ids import IdSet
from mics_ray.io.index.input_index import InputIndex
from mics_ray.io.scan import scan_cases
from mics_ray.runtime.driver import dataset
from mics_ray.runtime.driver.dataset import CaseStream
from tests.support.object_store import ENVIRONMENT, serve_objects
from tests.support.program import generate, rows
from tests.support.provider import Provider, record, write_cases
from tests.support.run_folders import noise

pytestmark = pytest.mark.cluster


def take_all(stream: CaseStream) -> list[tuple[RecordPlace, Case | Rejection]]:
    found = []
    while not stream.ended:
        while (span := stream.take_span()) is not None:
            found.extend(one.unpack() for one in span.records)
        time.sleep(0.01)
    return found


def test_records_come_out_in_order_however_many_parts_are_read_at_a_time(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "PART_BYTES", 20_000)
    text = "".join(f"{record(f'c{number % 3000}')}\n" for number in range(4000))
    (tmp_path / "a.jsonl").write_text(text)
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps([{"rid": n} for n in range(50)]).encode()))
    given = scan_cases([str(tmp_path / "a.jsonl"), str(tmp_path / "b.json.gz")])
    assert len(given.parts) > 10
    done = IdSet(f"c{number}" for number in range(0, 3000, 2))
    # Readers take no share of the processors: those may all be promised to models.
    holder = ray.remote(lambda: time.sleep(600)).options(num_cpus=ray.cluster_resources()["CPU"]).remote()
    try:
        # The first part by the driver, the others by Ray Data: all, then those that were noted as not done.
        for _ in range(2):
            stream = CaseStream(given.parts, done, InputIndex(tmp_path / "index", given, "1"))
            assert take_all(stream) == list(read_pending(given, done))
            stream.close()
    finally:
        ray.cancel(holder, force=True)
    done = IdSet(placed[1].id for placed in list(read_pending(given, ()))[:-1])
    index = InputIndex(tmp_path / "index", given, "1")
    assert list(index.find_done(done)) == list(range(len(given.parts) - 1))
    stream = CaseStream(given.parts, done, index)
    assert take_all(stream) == list(read_pending(given, done))
    stream.close()


@pytest.mark.parametrize("by_driver", [True, False])
def test_a_file_that_cannot_be_read_any_more_is_named_and_reading_can_be_left(
    ray_cluster: None, tmp_path: Path, by_driver: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "READ_HERE", 20_000 if by_driver else 19_999)
    (tmp_path / "a.jsonl").write_text("".join(f"{record(f'c{number}')}\n" for number in range(20_000)))
    given = scan_cases(tmp_path / "a.jsonl")
    assert len(given.parts) == 1
    left = CaseStream(given.parts, IdSet())
    while left.take_span() is None:
        time.sleep(0.01)
    left.close()
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(RefusedRun, match=r"a.jsonl: changed since the run began"):
        take_all(CaseStream(given.parts, IdSet()))


def test_a_whole_run_from_an_object_store(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", 5)
    with serve_objects() as store, Provider() as provider:
        noise(1).save(shown := io.BytesIO(), "PNG")
        store.put("pictures/there.png", shown.getvalue())
        text = (tmp_path / "cases.jsonl").read_text()
        text += f"{record('shown', ('there.png',))}\n{record('gone', ('gone.png',))}\n{{\n"
        cases = store.put("input/cases.jsonl.gz", gzip.compress(text.encode()))
        provider.write_groups(tmp_path / "conf")
        done = generate(
            "--config-dir", str(tmp_path / "conf"), "mentors=test", "interns=test", "judge=test",
            f"data.cases='{cases}'", f"data.image_root='{store.make_address('pictures')}'",
            f"run.dir={tmp_path}/run", **ENVIRONMENT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "canary-secret" not in done.stdout + done.stderr
    found = {str(row["case_id"]): row for row in rows(tmp_path / "run")}
    assert len(found) == 8
    assert found["gone"]["reason"] == "cases.jsonl.gz, line 7: picture 'gone.png': no such file"
    assert str(found["line-8"]["reason"]).startswith("cases.jsonl.gz, line 8: broken JSON")
    assert {row["outcome"] for name, row in found.items() if name not in ("gone", "line-8")} <= {
        "solved", "depth", "dead_end",
    }  # fmt: skip
