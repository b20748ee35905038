"""A benchmark that gives one figure, starts a program, and fails."""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.harness.figures import Figure, Goal, Setting


def measure_figures(setting: Setting) -> Iterator[Figure]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (setting.folder.parents[1] / "child").write_text(str(child.pid))
    yield Figure("B0", "before it failed", "s", (1.0, 3.0, 2.0), Goal("<=", 2.5))
    raise RuntimeError("the provider ate it")
