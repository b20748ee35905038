"""Security over a whole run: neither the API key nor medical text is anywhere but where it belongs."""

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import generate, rows
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


def test_the_key_is_nowhere_and_medical_text_in_data_files_only(tmp_path: Path, ray_folder: Path) -> None:
    lines = [record(f"case-{number}") for number in range(8)]
    (tmp_path / "cases.jsonl").write_text("\n".join(lines).replace("What does", f"What {TEXT} does") + "\n")
    with Provider(key=KEY) as provider:
        provider.write_groups(tmp_path / "conf", key_env="TEST_PROVIDER_KEY")
        before = os.umask(0)
        try:
            done = generate(
                "--config-dir", str(tmp_path / "conf"), "mentors=test", "interns=test", "judge=test",
                f"data.cases={tmp_path}/cases.jsonl", f"run.dir={tmp_path}/run",
                TEST_PROVIDER_KEY=KEY, RAY_TMPDIR=str(ray_folder),
            )  # fmt: skip
        finally:
            os.umask(before)
        assert done.returncode == 0, done.stderr
        assert provider.calls()["judge"] > 0
    run = tmp_path / "run"
    said = done.stdout + done.stderr
    found = rows(run)
    assert TEXT in json.dumps(found), "the canary reaches the data"
    assert KEY not in said + json.dumps(found) + dumped(run / "cache")
    assert TEXT not in said
    assert holding(run, KEY) == holding(ray_folder, KEY) == []
    allowed = (str(run / "results"), str(run / "cache"))
    assert [path for path in holding(run, TEXT) if not path.startswith(allowed)] == []
    assert holding(ray_folder, TEXT) == []
    modes = {path: path.stat().st_mode & 0o077 for path in run.rglob("*") if not path.is_symlink()}
    assert [str(path) for path, others in modes.items() if others] == []


def dumped(folder: Path) -> str:
    """All stored replies as text."""
    files = sorted(folder.glob("*.sqlite"))
    assert files
    return "\n".join(line for path in files for line in sqlite3.connect(path).iterdump())
