"""The exact commands of a dry run, for both recipes and for several nodes, compared with stored files."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_internvl import make_checkout, make_export
from tests.support.program import ROOT

STORED = Path(__file__).parent / "internvl_commands"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("internvl3_2b", ["train=internvl3_2b"]),
        ("internvl3_8b", ["train=internvl3_8b"]),
        ("internvl3_8b_on_2_nodes", ["train=internvl3_8b", "train.upstream.nodes=2", "train.batch_per_device=1"]),
    ],
)
def test_the_commands_of_a_dry_run_are_the_stored_ones(
    tmp_path: Path, name: str, settings: list[str], regenerate: bool
) -> None:
    make_checkout(tmp_path / "InternVL")
    make_export(tmp_path / "export")
    words = [
        *settings, f"train.dir={tmp_path}/out", f"export.dir={tmp_path}/export", "train.dry_run=true",
        f"train.upstream.checkout={tmp_path}/InternVL", f"train.upstream.python={sys.executable}",
    ]  # fmt: skip
    run = subprocess.run(
        [sys.executable, str(ROOT / "scripts/train.py"), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert not (tmp_path / "out").exists(), "a dry run starts nothing and writes nothing"
    printed = run.stdout.replace(sys.executable, "PYTHON").replace(str(tmp_path), "/WORK")
    path = STORED / f"{name}.txt"
    if regenerate:
        path.parent.mkdir(exist_ok=True)
        path.write_text(printed)
    assert printed == path.read_text()
