"""Running `scripts/generate.py` the way a person does: as a process of its own; and commands within this one."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

from mics_ray.io.shards.reading import iter_rows

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> list[str]:
    """The command line."""
    return [sys.executable, str(ROOT / "scripts/generate.py"), *arguments]


def generate(*arguments: str, timeout: float = 900, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run to the end; output as text."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **environment},
        check=False,
    )


def run_here(main: Callable[[Sequence[str]], int], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command by its function in this process, where the program around it is not the subject: a program takes 1 to
    2 s of CPU for its imports."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            code = main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return subprocess.CompletedProcess(list(arguments), code, out.getvalue(), err.getvalue())


def rows(folder: Path) -> list[dict[str, Any]]:
    """All committed rows of a run folder, by case id."""
    return sorted(iter_rows(folder / "results"), key=lambda row: str(row["case_id"]))


def generate_cpu_s(*arguments: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """The same, and the CPU seconds that it took with all it started: what a busy machine does not lengthen."""
    before = getrusage(RUSAGE_CHILDREN)
    done = generate(*arguments, **environment)
    after = getrusage(RUSAGE_CHILDREN)
    return done, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
