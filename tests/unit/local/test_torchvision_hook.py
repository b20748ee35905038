"""The torchvision hook: free of cost until torchvision is imported, and never over a working torchvision."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ENVIRONMENT = Path(__file__).parents[3] / "scripts" / "env"


def run(code: str, *extra_path: Path) -> str:
    """Run ``code`` in a bare interpreter (no site packages) that finds the hook and ``extra_path``."""
    paths = [str(ENVIRONMENT), *map(str, extra_path)]
    start = f"import sys; sys.path[:0] = {paths!r}\n"
    done = subprocess.run([sys.executable, "-S", "-c", start + code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A torchvision without operators and a torch that records the schemas defined, both stand-ins."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("from torchvision import extension\n")
    (tmp_path / "torchvision" / "extension.py").write_text("import os\ndef _has_ops(): return 'WORKS' in os.environ\n")
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("")
    (tmp_path / "torch" / "library.py").write_text(
        "defined = []\n"
        "class Library:\n"
        "    def __init__(self, name, kind): self.name = name\n"
        "    def define(self, schema): defined.append(self.name + '::' + schema.split('(')[0])\n"
    )
    return tmp_path


def test_installing_imports_nothing_and_happens_once() -> None:
    code = (
        "before = set(sys.modules); count = len(sys.meta_path)\n"
        "import torchvision_cpu; torchvision_cpu.install(); torchvision_cpu.install()\n"
        "print(set(sys.modules) - before, len(sys.meta_path) - count)"
    )
    assert run(code) == "{'torchvision_cpu'} 1"


def test_missing_operators_are_defined_once_the_extension_has_been_executed(packages: Path) -> None:
    code = (
        "import torchvision_cpu; torchvision_cpu.install()\n"
        "import torchvision, torch.library; print(torch.library.defined)"
    )
    assert run(code, packages) == "['torchvision::nms', 'torchvision::qnms']"


def test_a_working_torchvision_is_left_alone(packages: Path) -> None:
    code = (
        "import os; os.environ['WORKS'] = '1'\n"
        "import torchvision_cpu; torchvision_cpu.install()\n"
        "import torchvision; print('torch' in sys.modules)"
    )
    assert run(code, packages) == "False"


def test_the_installer_writes_both_files_and_knows_that_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ENVIRONMENT))
    installer: ModuleType = __import__("install_hook")
    assert not installer.is_current(tmp_path)
    installer.write_hook(tmp_path)
    assert installer.is_current(tmp_path)
    (tmp_path / "torchvision_cpu.py").write_text("# older\n")
    assert not installer.is_current(tmp_path)
