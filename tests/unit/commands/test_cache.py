"""`mics cache` on a run's folder: exit codes, what it prints, what it refuses."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mics_ray.commands.cache import run_cache
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_LOCKED, EXIT_OK, EXIT_REFUSED, EXIT_USAGE
from mics_ray.jobs.lock import RunLock
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.types import Reply

SECRET = "a lesion in the left lung"


@pytest.fixture
async def run(tmp_path: Path) -> Path:
    """A run that is not finished: three replies of its judge, two of a model that it does not name."""
    root = tmp_path / "run"
    store = ReplyStore(root / "cache", "endpoint-0")
    for number in range(5):
        await store.store_reply(
            number.to_bytes(32, "big"), "judge-m" if number < 3 else "gone-m", Reply(SECRET, "stop", 10, 1)
        )
    await store.close()
    (root / "config.yaml").write_text("judge: {model: judge-m}\nmentors: {a: {model: mentor-m}}\n")
    return root


def test_stats_for_programs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cache(["stats", f"run.dir={run}", "--json"]) == EXIT_OK
    told = json.loads(capsys.readouterr().out)
    assert told["entries"] == 5
    assert (told["models"]["judge-m"]["entries"], told["models"]["gone-m"]["prompt_tokens"]) == (3, 20)
    assert run_cache(["stats", str(run / "cache")]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "judge-m" in printed
    assert SECRET not in printed


def test_verify_names_the_damaged_file(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cache(["verify", str(run)]) == EXIT_OK
    (path,) = (run / "cache").iterdir()
    path.write_bytes(path.read_bytes().replace(SECRET.encode(), SECRET.upper().encode(), 1))
    assert run_cache(["verify", str(run)]) == EXIT_CANNOT_WRITE
    printed = capsys.readouterr().out
    assert f"{path.name}: 5 replies, 1 damaged" in printed
    assert run_cache(["verify", str(run), "--json"]) == EXIT_CANNOT_WRITE
    assert json.loads(capsys.readouterr().out)["files"][0]["damaged"] == 1
    (run / "cache/endpoint-9.sqlite.damaged-1").touch()
    assert run_cache(["export", str(run), "--out", str(run / "replies.jsonl")]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "4 replies in" in printed
    assert "left out: 1 damaged" in printed
    assert "left out: endpoint-9.sqlite.damaged-1" in printed


def test_what_the_run_needs_goes_only_when_asked(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cache(["prune", str(run), "--model", "gone-m"]) == EXIT_OK
    everything = ["prune", str(run), "--max-gb", "0"]
    assert run_cache([*everything, "--dry-run"]) == EXIT_OK
    assert "judge-m" in capsys.readouterr().out
    assert run_cache(everything) == EXIT_REFUSED
    assert "is not finished; it goes on from replies of judge-m" in capsys.readouterr().err
    (run / "summary.json").write_text('{"finished": true}')
    assert run_cache(everything) == EXIT_REFUSED
    assert "repaired and replayed" in capsys.readouterr().err
    assert run_cache([*everything, "--pay-again"]) == EXIT_OK
    capsys.readouterr()
    assert run_cache(["stats", str(run), "--json"]) == EXIT_OK
    assert json.loads(capsys.readouterr().out)["entries"] == 0


def test_a_run_that_is_writing_is_left_alone(run: Path) -> None:
    with RunLock(run / ".lock"):
        assert run_cache(["prune", str(run), "--max-gb", "0", "--pay-again"]) == EXIT_LOCKED
        assert run_cache(["stats", str(run)]) == EXIT_OK


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_an_export_is_whole_and_private(run: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"replies.{suffix}"
    assert run_cache(["export", str(run), "--out", str(out)]) == EXIT_OK
    rows = (
        pq.read_table(out).to_pylist() if suffix == "parquet" else [json.loads(line) for line in out.open()]
    )  # fmt: skip
    assert [row["model"] for row in rows] == ["judge-m"] * 3 + ["gone-m"] * 2
    assert {row["text"] for row in rows} == {SECRET}
    assert rows[1]["key"] == f"{1:064x}"
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["stats", "/nowhere"], EXIT_REFUSED),
        (["prune", "{run}"], EXIT_REFUSED),
        (["prune", "{run}", "--max-gb", "-1"], EXIT_REFUSED),
        (["export", "{run}", "--out", "x.csv"], EXIT_REFUSED),
        (["export", "{run}", "--out", "/nowhere/x.jsonl"], EXIT_CANNOT_WRITE),
        (["mend", "{run}"], EXIT_USAGE),
        ([], EXIT_USAGE),
    ],
)
def test_wrong_commands(run: Path, arguments: list[str], code: int) -> None:
    assert run_cache([argument.format(run=run) for argument in arguments]) == code
