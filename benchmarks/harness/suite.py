"""All benchmarks one after the other, each in a process of its own with a limit: one that fails holds up no other."""

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.harness.figures import Figure, Setting
from benchmarks.harness.processes import list_family, read_processes
from benchmarks.harness.results import ROOT, describe_machine, read_results, today, write_results

SUITE = (
    "makespan", "quotas", "prefix_routing", "work_saved", "evidence", "speed", "peers", "resume",
    "memory", "weak_scaling", "prefix_engine",
)  # fmt: skip
PR_SET_CHILD_SUBREAPER = 36
LIMIT_S = 600.0
"""Of one benchmark."""


def run_suite(names: Sequence[str], quick: bool, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each benchmark's entry as soon as it is over; both files are written after each, the others' entries stay."""
    results = read_results(path)
    results["machine"] = describe_machine()
    for name in names:
        found = run_benchmark(name, quick)
        results["benchmarks"] = order_entries(results["benchmarks"] | {name: found})
        write_results(path, results)
        yield name, found


def locate_module(name: str) -> str:
    """A benchmark of the suite, or any module with ``measure_figures`` by its whole name."""
    return name if "." in name else f"benchmarks.suite.{name}"


def order_entries(found: dict[str, Any]) -> dict[str, Any]:
    """By the suite's order."""
    return dict(sorted(found.items(), key=lambda one: SUITE.index(one[0]) if one[0] in SUITE else len(SUITE)))


def run_benchmark(name: str, quick: bool) -> dict[str, Any]:
    """The entry of one benchmark, with the figures that there were before it failed, if it did."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mics-bench-") as folder:
        out = Path(folder) / "out"
        given = {"name": name, "quick": quick, "folder": f"{folder}/work", "out": str(out)}
        error = run_apart(given, Path(folder))
        lines = out.read_text().splitlines() if out.exists() else []
    title = (importlib.import_module(locate_module(name)).__doc__ or name).partition("\n")[0]
    figures = [json.loads(line) for line in lines]
    if error is None and not figures:
        error = "it gave no figure"
    seconds = time.monotonic() - began
    return {"title": title, "date": today(), "quick": quick, "seconds": seconds, "error": error, "figures": figures}


def run_apart(given: dict[str, Any], folder: Path) -> str | None:
    """Measure in a process of its own; what went wrong, in a line. What it leaves running is ended."""
    (folder / "given.json").write_text(json.dumps(given))
    command = [sys.executable, "-m", "benchmarks.harness.suite", str(folder / "given.json")]
    with (folder / "log").open("w+") as log, leave_nothing():
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            return f"took longer than {LIMIT_S:.0f} s"
        log.seek(0)
        lines = log.read().strip().splitlines()
    return f"exit code {code}: {lines[-1][:300] if lines else ''}" if code else None


@contextmanager
def leave_nothing() -> Iterator[None]:
    """What is started meanwhile is ended afterwards, whoever its parent was: orphans become this process's children."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    me = {os.getpid(): ""}
    before = set(list_family(dict(read_processes()), me))
    try:
        yield
    finally:
        while left := set(list_family(dict(read_processes()), me)) - before:
            for pid in left:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            for pid in left:
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def measure_one(given: dict[str, Any]) -> None:
    """What the process of one benchmark does: a line a figure, as soon as it is known."""
    folder = Path(given["folder"])
    folder.mkdir()
    module = importlib.import_module(locate_module(given["name"]))
    with Path(given["out"]).open("w") as out:
        for figure in module.measure_figures(Setting(folder, given["quick"])):
            assert isinstance(figure, Figure)
            out.write(json.dumps(figure.as_json()) + "\n")
            out.flush()


if __name__ == "__main__":
    measure_one(json.loads(Path(sys.argv[1]).read_text()))
