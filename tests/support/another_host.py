"""Processes that see a folder as hosts of one shared disk do, each with memory and locks of its own."""

import os
import subprocess
import sys
from pathlib import Path


class Host:
    """One emulated host: what is started here shares no memory and no lock with another host's processes.

    ``flock`` is ``local`` (granted whatever other hosts hold) or the number of the error that it ends with.
    """

    def __init__(self, folder: Path, name: str, flock: str = "local") -> None:
        self.environment = {
            **os.environ,
            "LD_PRELOAD": str(build_library(folder)),
            "HOST_NAME": name,
            "HOST_FLOCK": flock,
        }

    def start(self, program: str, *arguments: object) -> subprocess.Popen[str]:
        """A Python program with pipes to talk to it."""
        command = [sys.executable, "-c", program, *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=self.environment)

    def run(self, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """A Python program to its end."""
        command = [sys.executable, "-c", program, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=self.environment, check=False, timeout=120)


def build_library(folder: Path) -> Path:
    """What is preloaded, compiled once for ``folder``."""
    library = folder / "another_host.so"
    if not library.exists():
        source = Path(__file__).with_name("another_host.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library
