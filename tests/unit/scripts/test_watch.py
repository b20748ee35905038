"""`scripts/watch.py` as a program: exit codes, one clear line, one screen without a terminal."""

import subprocess
import sys
from pathlib import Path

import pytest

from mics_ray.io.shards import ShardStore
from tests.support.program import ROOT
from tests.support.run_folders import row


def watch(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts/watch.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("source", ["run.dir=/nowhere", "address=127.0.0.1:9"])
def test_nothing_there_is_one_line_and_78(source: str) -> None:
    done = watch(source)
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert source.partition("=")[2] in done.stderr


@pytest.mark.parametrize("arguments", [[], ["run=x"], ["address="], ["address=a:1", "--forever"]])
def test_a_wrong_command_line_is_64(arguments: list[str]) -> None:
    assert watch(*arguments).returncode == 64


def test_one_screen_without_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text("{}")
    ShardStore(tmp_path / "results").commit([row("a"), row("b", outcome="dead_end")])
    for more in ([], ["--once"]):
        done = watch(f"run.dir={tmp_path}", *more)
        assert done.returncode == 0, done.stderr
        assert "2 cases" in done.stdout
        assert "dead_end 1" in done.stdout
        assert done.stdout.count("╭") == 1
