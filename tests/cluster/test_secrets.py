"""Security over a whole run: neither the API key nor medical text is anywhere but where it belongs."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ProcessLooks, alive, descendants, kill, until
from tests.support.program import command, generate, rows
from tests.support.provider import Provider, record

pytestmark = pytest.mark.cluster

KEY = "sk-Canary-5b1f0c77e2"
TEXT = "canarytextquokka"  # one word, so that no wrapping of a log splits it


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Ray's session folder of this test alone; a short path, for the sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def holding(folder: Path, canary: str) -> list[str]:
    """The files below ``folder`` whose bytes or names hold ``canary``."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files, f"nothing was written to {folder}"
    return [str(path) for path in files if canary in path.name or canary.encode() in path.read_bytes()]


class CommandLines:
    """Of the processes that it looks at: command lines with the key, and how often a search worker was seen."""

    def __init__(self) -> None:
        self.holding: set[bytes] = set()
        self.workers = 0

    def look(self, folder: Path) -> None:
        """See :class:`tests.support.processes.ProcessLooks`."""
        line = (folder / "cmdline").read_bytes()
        self.workers += line.startswith(b"ray::SearchWorker")
        self.holding |= {line} if KEY.encode() in line else set()


def arguments(folder: Path) -> list[str]:
    return [
        "--config-dir", str(folder / "conf"), "mentors=test", "interns=test", "judge=test",
        f"data.cases={folder}/cases.jsonl", f"run.dir={folder}/run",
    ]  # fmt: skip


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    lines = [record(f"case-{number}") for number in range(8)]
    (tmp_path / "cases.jsonl").write_text("\n".join(lines).replace("What does", f"What {TEXT} does") + "\n")
    return tmp_path


def test_the_key_is_nowhere_and_medical_text_in_data_files_only(cases: Path, ray_folder: Path) -> None:
    seen = CommandLines()
    with Provider(key=KEY) as provider, ProcessLooks(seen.look):
        provider.write_groups(cases / "conf", key_env="TEST_PROVIDER_KEY")
        before = os.umask(0)
        try:
            done = generate(*arguments(cases), TEST_PROVIDER_KEY=KEY, RAY_TMPDIR=str(ray_folder))
        finally:
            os.umask(before)
        assert done.returncode == 0, done.stderr
        assert provider.calls()["judge"] > 0
    assert seen.workers > 0
    assert seen.holding == set()
    run = cases / "run"
    assert TEXT in json.dumps(rows(run)), "the canary reaches the data"
    keeps_to_itself(run, ray_folder, done.stdout + done.stderr)
    modes = {path: path.stat().st_mode & 0o077 for path in run.rglob("*") if not path.is_symlink()}
    assert [str(path) for path, others in modes.items() if others] == []


@pytest.mark.slow
def test_a_run_that_was_killed_leaves_no_key_either(cases: Path, ray_folder: Path) -> None:
    with Provider(key=KEY, latency_s=0.2) as provider:
        provider.write_groups(cases / "conf", key_env="TEST_PROVIDER_KEY")
        environment = {**os.environ, "TEST_PROVIDER_KEY": KEY, "RAY_TMPDIR": str(ray_folder)}
        provider.hold_when = lambda: len(provider.log) > 100
        with subprocess.Popen(
            command(*arguments(cases)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run:
            until(lambda: provider.held or run.poll() is not None)
            below = list(descendants(run.pid))
            kill(run.pid)
            said, _ = run.communicate()
        assert run.returncode == -signal.SIGKILL
        until(lambda: not any(map(alive, below)))
    keeps_to_itself(cases / "run", ray_folder, said)


def keeps_to_itself(run: Path, ray_folder: Path, said: str) -> None:
    """No key in what was said, in a row, a reply or a file; no medical text but in results and replies."""
    assert KEY not in said + json.dumps(rows(run)) + dumped(run / "cache")
    assert TEXT not in said
    assert holding(run, KEY) == holding(ray_folder, KEY) == []
    allowed = (str(run / "results"), str(run / "cache"))
    assert [path for path in holding(run, TEXT) if not path.startswith(allowed)] == []
    assert holding(ray_folder, TEXT) == []


def dumped(folder: Path) -> str:
    """All stored replies as text."""
    files, logs = sorted(folder.glob("*.sqlite")), sorted(folder.glob("*.replies"))
    assert files or logs
    lines = [line for path in files for line in sqlite3.connect(path).iterdump()]
    return "\n".join([*lines, *(path.read_text(errors="replace") for path in logs)])
