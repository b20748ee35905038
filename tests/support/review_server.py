"""`mics review` as a process of its own, with the address that it prints; ended as a test wants it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.program import ROOT


@dataclass
class ReviewServer:
    """A started server."""

    process: "subprocess.Popen[str]"
    address: str
    told: str = ""

    def kill(self) -> None:
        """SIGKILL, as a crash ends it."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ctrl-C; the exit code. ``told`` is what it said after its address."""
        self.process.send_signal(signal.SIGINT)
        self.told, _ = self.process.communicate(timeout=60)
        return self.process.returncode


@contextmanager
def start_review(run: Path, reviewer: str = "ann", *words: str) -> Iterator[ReviewServer]:
    """Start it and wait for its address; at the end it is killed if it still works."""
    line = [sys.executable, str(ROOT / "scripts/review.py"), f"run.dir={run}", f"reviewer={reviewer}", *words]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        try:
            yield ReviewServer(process, _read_address(process))
        finally:
            process.kill()


def _read_address(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(r"http://\S+", line):
            return found[0]
    raise RuntimeError("".join(said))
