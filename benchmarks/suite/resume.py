"""B7: a run that is killed half way and goes on, against a straight one; calls repeated; starts over a large input."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.figures import Figure, Goal, Setting, current_load
from benchmarks.harness.processes import ProcessWatch, list_family, read_processes
from benchmarks.harness.provider import ROOT, ProviderProcess, serve_provider
from benchmarks.harness.runs import (
    PATIENT,
    FigureMaker,
    Spent,
    measure_spent,
    prepare_run,
    run_watched,
    search_cases,
)
from benchmarks.input import write_jsonl
from benchmarks.starts import measure_starts

POLL_S = 0.05
WINDOW = 16
"""Open cases: few of all, as in a long run, for what a kill costs goes by them and not by the cases that are done."""
SAID = (
    f"One run of 240 cases, {WINDOW} at a time. Killed with SIGKILL, all processes at once, when half of the calls of a"
    f" straight run were made; then the same command again. Seconds of search of both parts, first call to last; starts"
    f" of Ray are left out on both sides."
)


@dataclass(frozen=True, slots=True)
class Resumed:
    """A run in two parts: seconds with calls, calls made twice, the most that were under way, seconds to the first."""

    spent: Spent
    seconds: float
    repeated: int
    in_flight: int
    first_s: float


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """A straight run and a killed one; then starts over a large input."""
    cases = setting.choose(240, 24)
    straight = search_cases(setting.folder / "straight", cases, window=WINDOW).spent
    run = resume_run(setting.folder / "killed", cases, straight.calls // 2)
    figures = FigureMaker("B7", [run.spent], SAID)
    ratio = run.seconds / straight.seconds
    yield figures.of_values("seconds of killed and resumed over straight", "", (ratio,), Goal("<=", 1.02))
    yield figures.of_values("seconds that the kill cost", "s", (run.seconds - straight.seconds,))
    share = run.repeated / run.in_flight
    yield figures.of_values("calls repeated over those in flight", "", (share,), Goal("<=", 1))
    yield figures.of_values("seconds from the command to its first call", "s", (run.first_s,))
    yield from tell_starts(setting.folder / "starts", setting.choose(100_000, 10_000))


def resume_run(folder: Path, cases: int, half: int) -> Resumed:
    """Kill it at its ``half``-th call, then run it to its end."""
    with serve_provider() as provider:
        command = prepare_run(folder, provider.url, cases, window=WINDOW)
        first_part = kill_half_way(command, provider, half)
        before, asked = provider.read_stats(), time.monotonic()
        watch = run_watched(command, provider)
        stats = provider.read_stats(times=True)
    again = min(at for times in stats["times"].values() for at in times if at > asked)
    seconds = first_part + stats["last"] - again
    repeated, most = stats["repeated"] - before["repeated"], before["most_open"]
    return Resumed(measure_spent(watch, stats | {"first": again}), seconds, repeated, most, again - asked)


def kill_half_way(command: list[str], provider: ProviderProcess, half: int) -> float:
    """Run until so many calls were made, then end every process of it; the seconds from its first call on."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, env=os.environ | PATIENT
    ) as process:
        while sum((stats := provider.read_stats())["calls"].values()) < half:
            if process.poll() is not None:
                raise RuntimeError(f"the run ended with {process.returncode} before it was killed")
            time.sleep(POLL_S)
        ended = time.monotonic()
        kill_family(process.pid)
    first: float = stats["first"]
    return ended - first


def kill_family(pid: int) -> None:
    """A process and all below it, at once."""
    for member in list_family(dict(read_processes()), {pid: ""}):
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)


def tell_starts(folder: Path, records: int) -> Iterator[Figure]:
    """Starts over a large input: of a run whose records have their row but for the last."""
    file = folder / "many.jsonl"
    folder.mkdir()
    write_jsonl(file, records)
    said = (
        f"`benchmarks/starts.py`: one start each over {records:,} records of 2 kB; resumed: all but one have their row."
    )
    began = time.monotonic()
    with ProcessWatch({os.getpid(): "harness"}, every_s=0.5) as watch:
        found = list(measure_starts(folder, file, records))
    others = watch.others_cores(began, time.monotonic())
    for name, value in found:
        what, _, unit = name.rpartition(", ")
        goal = Goal("<=", 10) if what == "resumed: first call" else None
        yield Figure("B7", f"{records:,} records, {what}", unit, (value,), goal, said, (others,), (current_load(),))
