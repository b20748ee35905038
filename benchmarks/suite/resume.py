"""B7: a run that is killed half way and goes on, against straight ones; calls repeated; starts over a large input."""

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
from benchmarks.suite.speed import CALLS_SECONDS

POLL_S = 0.05
SAID = (
    "Killed with SIGKILL, all processes at once, when half of the calls of a straight run were made; then the same"
    " command again. Seconds of search of both parts, first call to last; starts of Ray are left out on both sides."
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
    """The straight runs are those of the speed benchmark, where it ran before this one with the same cases."""
    cases = setting.choose(100, 16)
    earlier = setting.earlier.get(("B3", CALLS_SECONDS), ())
    straight = list(earlier)
    if not straight:
        straight = [
            search_cases(setting.folder / f"straight-{n}", cases, f"seed={n}").spent.seconds
            for n in range(setting.runs)
        ]
    calls = count_calls(setting, cases)
    runs = [resume_run(setting.folder / f"killed-{n}", cases, n, calls // 2) for n in range(min(setting.runs, 3))]
    figures = FigureMaker("B7", [run.spent for run in runs], SAID)
    ratios = tuple(run.seconds / straight[n] for n, run in enumerate(runs))
    yield figures.of_values("seconds of killed and resumed over straight", "", ratios, Goal("<=", 1.02))
    shares = tuple(run.repeated / run.in_flight for run in runs)
    yield figures.of_values("calls repeated over those in flight", "", shares, Goal("<=", 1))
    yield figures.of_values("seconds from the command to its first call", "s", tuple(run.first_s for run in runs))
    yield from tell_starts(setting.folder / "starts", setting.choose(100_000, 10_000))


def count_calls(setting: Setting, cases: int) -> int:
    """About how many calls a straight run makes."""
    a_case = setting.earlier.get(("B3", "model calls a case"), (120.0,))[0]
    return round(a_case * cases)


def resume_run(folder: Path, cases: int, seed: int, half: int) -> Resumed:
    """Kill it at its ``half``-th call, then run it to its end."""
    with serve_provider() as provider:
        command = prepare_run(folder, provider.url, cases, f"seed={seed}")
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
