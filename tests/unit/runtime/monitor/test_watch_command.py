"""`mics watch`: exit codes, one clear line, one screen without a terminal."""

from pathlib import Path

import pytest

from mics_ray.io.shards.store import ShardStore
from mics_ray.runtime.monitor.watch_command import main
from tests.support.run_folders import row


@pytest.mark.parametrize("source", ["run.dir=/nowhere", "address=127.0.0.1:9"])
def test_nothing_there_is_one_line_and_78(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([source]) == 78
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert source.partition("=")[2] in said


@pytest.mark.parametrize("arguments", [[], ["run=x"], ["address="], ["address=a:1", "--forever"]])
def test_a_wrong_command_line_is_64(arguments: list[str]) -> None:
    assert main(arguments) == 64


def test_one_screen_without_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "identity.json").write_text("{}")
    ShardStore(tmp_path / "results").commit([row("a"), row("b", outcome="dead_end")])
    for more in ([], ["--once"]):
        assert main([f"run.dir={tmp_path}", *more]) == 0
        shown = capsys.readouterr().out
        assert "2 cases" in shown
        assert "dead_end 1" in shown
        assert shown.count("╭") == 1
