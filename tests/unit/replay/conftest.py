"""A finished run with its record, without lost calls: made once, copied for each test."""

import shutil
from pathlib import Path

import pytest

from tests.support.recorded_run import recorded_run

CASES = 12


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    recorded_run(folder, CASES)
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return shutil.copytree(made / "run", tmp_path / "run")
