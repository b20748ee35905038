"""Makes the CUDA builds that pip brings beside a CPU build of torch harmless: hooks torchvision, removes two others.

vLLM and transformers need torchvision (see ``torchvision_cpu.py``) but can do without torchaudio and torchcodec, whose
mere presence breaks transformers' processors when their libraries cannot be loaded.

Run it with the environment's own Python: ``.venv/bin/python scripts/env/install_hook.py``. Running it again changes
nothing, and packages that work are never touched. It ends with status 1 when torchvision fails for a reason that the
hook does not cure.
"""

import py_compile
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

MODULE = Path(__file__).with_name("torchvision_cpu.py")
PTH_TEXT = "import torchvision_cpu; torchvision_cpu.install()\n"
# Exit status 3: torch is a CUDA build, so a failing torchvision is not this hook's business.
_PROBE = """
import sys
sys.meta_path = [f for f in sys.meta_path if type(f).__name__ != "ExtensionFinder"]
import torch
if torch.version.cuda is not None:
    sys.exit(3)
import {package}
"""


def is_current(site_packages: Path) -> bool:
    """True when module and .pth file lie in ``site_packages`` as they are here."""
    module, pth = site_packages / MODULE.name, site_packages / "torchvision_cpu.pth"
    return (
        module.is_file()
        and module.read_bytes() == MODULE.read_bytes()
        and pth.is_file()
        and pth.read_text(encoding="utf-8") == PTH_TEXT
    )


def write_hook(site_packages: Path) -> None:
    """Copy and compile the module, then write the .pth file (in this order: no process starts with half of it).

    Compiled here, since every start of Python would pay 3 ms for it where writing bytecode is switched off.
    """
    shutil.copyfile(MODULE, site_packages / MODULE.name)
    py_compile.compile(str(site_packages / MODULE.name), doraise=True)
    (site_packages / "torchvision_cpu.pth").write_text(PTH_TEXT, encoding="utf-8")


def _run(*arguments: str) -> int:
    return subprocess.run([sys.executable, *arguments], check=False, capture_output=True).returncode


def remove_broken(package: str) -> None:
    """Uninstall ``package`` when it is there and its import fails beside a CPU build of torch."""
    if find_spec(package) is not None and _run("-c", _PROBE.format(package=package)) not in (0, 3):
        _run("-m", "pip", "uninstall", "--yes", package)
        print(f"{package}: removed, its libraries cannot be loaded beside this torch")


def hook_torchvision() -> int:
    """Install the hook where needed, say what was done, return the exit status."""
    site_packages = Path(sysconfig.get_paths()["purelib"])
    if is_current(site_packages):
        print("torchvision hook: in place")
        return 0
    if _run("-c", _PROBE.format(package="torchvision")) in (0, 3):
        print("torchvision hook: not needed")
        return 0
    write_hook(site_packages)
    works = _run("-c", "import torchvision") == 0
    print("torchvision hook: installed" + ("" if works else ", but torchvision still fails to import"))
    return 0 if works else 1


def main() -> int:
    """Do all of it; an environment without torch or torchvision is left as it is."""
    if find_spec("torch") is None or find_spec("torchvision") is None:
        print("torchvision hook: torch or torchvision is not installed, nothing to do")
        return 0
    for package in ("torchaudio", "torchcodec"):
        remove_broken(package)
    return hook_torchvision()


if __name__ == "__main__":
    sys.exit(main())
