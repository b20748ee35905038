"""What is settled before Ray starts: the folder, the configuration it belongs to, strictness."""

import json
from collections.abc import Container, Iterator
from pathlib import Path

import pytest

from mics_ray.config.compose import compose_config
from mics_ray.config.schema import Config
from mics_ray.errors import LockedRun, RefusedRun
from mics_ray.io import scan
from mics_ray.io.index.shard_index import INDEX
from mics_ray.io.packed_blocks import PartPiece, read_pieces
from mics_ray.io.records import Rejection, parse_record
from mics_ray.io.rows import rejected_row
from mics_ray.io.shards.committed import read_committed
from mics_ray.io.shards.reading import list_shards
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs import generation
from mics_ray.jobs.generation import prepare_generation, uses_simulated_models
from mics_ray.jobs.lock import RunLock
from mics_ray.jobs.run_folder import WRITER_LOCK, RunFolder
from mics_ray.models.replies.ledger import Ledger
from tests.support.damage import flip
from tests.support.provider import record


def config(folder: Path, *more: str) -> Config:
    return compose_config(["experiment=demo", f"run.dir={folder}/run", *more])


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_folder_of_ours_is_private_and_one_of_the_users_stays_as_it_is(tmp_path: Path) -> None:
    theirs = tmp_path / "run"
    theirs.mkdir()
    theirs.chmod(0o755)
    with prepare_generation(config(tmp_path)) as job:
        assert job.pending == 32
    assert mode(theirs) == 0o755
    assert {mode(theirs / name) for name in ("results", "cache", "logs")} == {0o700}
    assert mode(theirs / "config.yaml") == mode(theirs / "identity.json") == 0o600


def test_a_run_without_money_left_is_refused_until_it_is_given_more(tmp_path: Path) -> None:
    Ledger(tmp_path / "run/cache", "endpoint-0", None).settle_usd(0.0, 2.5)
    with (
        pytest.raises(RefusedRun, match=r"budget_usd: 2.5 is spent already \(\$2.5000 so far\)"),
        prepare_generation(config(tmp_path, "budget_usd=2.5")),
    ):
        pass
    for more in ("budget_usd=3", "budget_usd=null"):
        with prepare_generation(config(tmp_path, more)) as job:
            assert job.pending == 32


def test_a_folder_without_rows_binds_nobody_and_one_with_rows_does(tmp_path: Path) -> None:
    with prepare_generation(config(tmp_path)) as job:
        row = rejected_row(Rejection(1, "phantom-001", "for the test"), job.stamp)
    with prepare_generation(config(tmp_path, "seed=1")):
        pass
    ShardStore(tmp_path / "run/results").commit([row])
    with prepare_generation(config(tmp_path, "seed=1")) as again:
        assert again.pending == 31
    with pytest.raises(RefusedRun, match="seed: 1 -> 2"), prepare_generation(config(tmp_path, "seed=2")):
        pass
    assert json.loads((tmp_path / "run/identity.json").read_text())["seed"] == 1


def test_what_a_start_had_to_read_of_the_shards_is_noted_unless_their_writer_is_there(tmp_path: Path) -> None:
    results = tmp_path / "run/results"
    with prepare_generation(config(tmp_path)) as job:
        ShardStore(results).commit([rejected_row(Rejection(1, "phantom-001", "for the test"), job.stamp)])
    (results / INDEX).unlink()
    with RunLock(results / WRITER_LOCK), prepare_generation(config(tmp_path)) as job:
        assert job.pending == 31
    assert not (results / INDEX).exists()
    with prepare_generation(config(tmp_path)) as job:
        assert job.pending == 31
    assert read_committed(results).indexed
    # What is refused leaves the folder as it was.
    (results / INDEX).unlink()
    with pytest.raises(RefusedRun), prepare_generation(config(tmp_path, "seed=1")):
        pass
    assert not (results / INDEX).exists()


def test_a_run_that_has_all_rows_is_read_once_to_count_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with prepare_generation(config(tmp_path)) as job:
        ids = [found.id for _, found in job.iter_pending()]
        ShardStore(job.folder.results).commit(
            [rejected_row(Rejection(1, one, "for the test"), job.stamp) for one in ids]
        )
    looked = list[int]()

    def read_and_note(part: scan.Part, number: int, done: Container[int]) -> Iterator[PartPiece]:
        looked.append(number)
        return read_pieces(part, number, done)

    monkeypatch.setattr(generation, "read_pieces", read_and_note)
    for _ in range(2):
        with prepare_generation(config(tmp_path)) as again:
            assert again.pending == 0
    assert looked == [0]


@pytest.mark.parametrize("left", [None, "", "{"])
def test_where_the_identity_is_lost_the_rows_tell_whose_they_are(tmp_path: Path, left: str | None) -> None:
    with prepare_generation(config(tmp_path)) as job:
        ShardStore(job.folder.results).commit([rejected_row(Rejection(1, "phantom-001", "for the test"), job.stamp)])
    told = job.folder.root / "identity.json"
    before = told.read_text()
    told.unlink() if left is None else told.write_text(left)
    with pytest.raises(RefusedRun, match=r"another configuration[\s\S]*identity.json is lost"):
        prepare_generation(config(tmp_path, "seed=5")).__enter__()
    with prepare_generation(config(tmp_path)) as again:
        assert again.pending == 31
    assert told.read_text() == before


def test_an_identity_that_is_lost_beside_damaged_rows_is_refused_with_what_repairs_them(tmp_path: Path) -> None:
    with prepare_generation(config(tmp_path)) as job:
        ShardStore(job.folder.results).commit([rejected_row(Rejection(1, "phantom-001", "for the test"), job.stamp)])
    (tmp_path / "run/identity.json").unlink()
    flip(list_shards(tmp_path / "run/results")[0], "config_digest")
    with pytest.raises(RefusedRun, match=r"verify\.py run\.dir=… --repair"):
        prepare_generation(config(tmp_path)).__enter__()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with prepare_generation(config(tmp_path)), pytest.raises(LockedRun), prepare_generation(config(tmp_path)):
        pass


def test_cases_of_several_folders_need_a_folder_of_pictures(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "cases.jsonl").write_text(record(name, (f"{name}.png",)) + "\n")
    given = f"data.cases=[{tmp_path}/a/cases.jsonl,{tmp_path}/b]"
    with pytest.raises(RefusedRun, match=r"data.image_root: not given, and the cases lie in 2 folders"):
        prepare_generation(config(tmp_path, given)).__enter__()
    with prepare_generation(config(tmp_path, given, f"data.image_root={tmp_path}")) as job:
        assert (job.pending, job.scan.name) == (2, "2 files")
    with prepare_generation(config(tmp_path, f"data.cases={tmp_path}/b", "run.dir=" + str(tmp_path / "other"))) as job:
        assert job.config.data.image_root == str(tmp_path / "b")


def test_strict_refuses_a_picture_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text(record("a", ("gone.png",)) + "\n")
    lenient = config(tmp_path, f"data.cases={tmp_path}/cases.jsonl")
    with prepare_generation(lenient) as job:
        assert job.pending == 1
    with pytest.raises(RefusedRun, match=r"a: cases.jsonl, line 1: picture 'gone.png'"):
        prepare_generation(config(tmp_path, f"data.cases={tmp_path}/cases.jsonl", "data.strict=true")).__enter__()


def test_strict_parses_each_record_once_and_looks_at_pictures_of_pending_cases_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cases.jsonl").write_text("".join(record(name, ("gone.png",)) + "\n" for name in "abc"))
    given = config(tmp_path, f"data.cases={tmp_path}/cases.jsonl", "data.strict=true")
    with prepare_generation(config(tmp_path, f"data.cases={tmp_path}/cases.jsonl")) as job:
        rows = [rejected_row(Rejection(number, name, "for the test"), job.stamp) for number, name in enumerate("ab")]
    ShardStore(job.folder.results).commit(rows)
    parsed: list[object] = []
    parse = parse_record
    monkeypatch.setattr(scan, "parse_record", lambda value, place: parsed.append(value) or parse(value, place))
    with pytest.raises(RefusedRun) as refused:
        prepare_generation(given).__enter__()
    assert [line.split(":")[0].strip() for line in str(refused.value).splitlines()[1:]] == ["c"]
    assert len(parsed) == 3


def test_the_demo_is_called_simulated_and_pictures_are_found_from_anywhere(tmp_path: Path) -> None:
    demo = config(tmp_path)
    assert uses_simulated_models(demo)
    with prepare_generation(demo) as job:
        assert Path(str(job.config.data.image_root)).is_absolute()
    assert RunFolder(tmp_path).summary == tmp_path / "summary.json"
