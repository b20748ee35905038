"""Whole runs of `mics generate` and `mics evaluate` against a provider, as a user starts them, and what they took."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.figures import Figure, Goal, current_load
from benchmarks.harness.processes import ProcessWatch
from benchmarks.harness.provider import ROOT, ProviderProcess, serve_provider

LIMIT_S = 900.0
"""Of one run; one that hangs fails its benchmark."""
LOOK_S = {False: 0.1, True: 0.25}
"""Between two looks at CPU alone, and at memory and handles too."""
AFTER_S = 0.5
"""Answers that were sent and not read yet, rows on their way to the disk: their CPU is the calls' too."""
PATIENT = {"RAY_raylet_start_wait_time_s": "120", "RAY_USAGE_STATS_ENABLED": "0"}
"""Right after another run Ray may take longer to start than it gives itself."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a stretch of work took: calls that the provider answered, seconds, CPU seconds by role, load, others."""

    calls: int
    seconds: float
    cpu_s: Mapping[str, float]
    load: float
    others: float

    @property
    def own_cpu_s(self) -> float:
        """CPU of all processes of this project and of Ray."""
        return sum(spent for role, spent in self.cpu_s.items() if role not in ("provider", "harness"))


def write_groups(folder: Path, url: str, only_one: bool = False) -> None:
    """Group files for three mentors and three endpoint interns (or one of each) and a judge at ``url``."""
    common, count = {"base_url": url}, 1 if only_one else 3
    blocks = {
        "mentors": {f"mentor_{i}": {"model": f"mentor-{i}", **common} for i in range(count)},
        "interns": {f"intern_{i}": {"engine": "endpoint", "model": f"intern-{i}", **common} for i in range(count)},
        "judge": {"model": "judge-0", **common},
    }
    for name, block in blocks.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "bench.yaml").write_text(json.dumps(block))


def make_record(number: int, without_answer: bool = False) -> dict[str, Any]:
    """A case without pictures; one without an answer is rejected."""
    question = {"role": "user", "content": f"**Question:** What does case {number} show?"}
    answer = {"role": "assistant", "content": "**Correct Answer:** right"}
    said = [question] if without_answer else [question, answer]
    return {"rid": f"case-{number:05}", "messages": said, "images": []}


def write_cases(path: Path, count: int, without_answer: bool = False) -> None:
    """``count`` cases without pictures; ``without_answer``: but for the first, since a run of rejected ones fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        file.writelines(
            json.dumps(make_record(number, without_answer and number > 0)) + "\n" for number in range(count)
        )


def generate_command(folder: Path, *overrides: str) -> list[str]:
    """`generate.py` on ``folder``'s cases and groups, into ``folder/run``."""
    return [
        sys.executable, str(ROOT / "scripts/generate.py"), "--config-dir", f"{folder}/conf", "mentors=bench",
        "interns=bench", "judge=bench", f"data.cases={folder}/cases.jsonl", f"run.dir={folder}/run", *overrides,
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class SearchedRun:
    """A whole run: what was spent, the seconds of its search by its own account, what the provider counted."""

    spent: Spent
    seconds: float
    stats: Mapping[str, Any]


def prepare_run(folder: Path, url: str, cases: int, *overrides: str, window: int = 0) -> list[str]:
    """The command of a run of so many cases, with its files in ``folder``; ``window`` 0: all at a time."""
    write_groups(folder / "conf", url)
    write_cases(folder / "cases.jsonl", cases)
    return generate_command(folder, f"window={window or cases}", *overrides)


def search_cases(
    folder: Path,
    cases: int,
    *overrides: str,
    window: int = 0,
    environment: Mapping[str, str] | None = None,
    **settings: Any,
) -> SearchedRun:
    """See :func:`prepare_run`: to its end, against a provider of its own; ``settings`` as the provider has them."""
    with serve_provider(**settings) as provider:
        command = prepare_run(folder, provider.url, cases, *overrides, window=window)
        watch = run_watched(command, provider, environment=environment)
        stats = provider.read_stats(times=True)
    return SearchedRun(measure_spent(watch, stats), read_summary(folder)["search_seconds"], stats)


def run_watched(
    command: Sequence[str],
    provider: ProviderProcess,
    detailed: bool = False,
    environment: Mapping[str, str] | None = None,
) -> ProcessWatch:
    """Run a command to its end; what it and the provider took, over time. Raises where it fails."""
    log = Path(f"/tmp/mics-bench-{provider.port}.log")
    roots = {os.getpid(): "harness", provider.pid: "provider"}
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, stdout=output, stderr=output, cwd=ROOT, env=os.environ | PATIENT | dict(environment or {})
        ) as process,
        ProcessWatch(roots | {process.pid: "driver"}, LOOK_S[detailed], detailed) as watch,
    ):
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            raise
    said = log.read_text(errors="replace")[-600:]
    log.unlink()
    if code:
        raise RuntimeError(f"exit code {code}: {said}")
    return watch


def measure_spent(watch: ProcessWatch, stats: Mapping[str, Any]) -> Spent:
    """What was spent between the first and the last call, CPU until :data:`AFTER_S` later."""
    first, last = stats["first"], stats["last"]
    others, cpu_s = watch.others_cores(first, last), watch.cpu_by_role(first, last + AFTER_S)
    return Spent(sum(stats["calls"].values()), last - first, cpu_s, current_load(), others)


def read_summary(folder: Path) -> dict[str, Any]:
    """A run's own account."""
    summary: dict[str, Any] = json.loads((folder / "run/summary.json").read_text())
    return summary


class FigureMaker:
    """Makes figures of the same runs: they share the load, and what others did meanwhile."""

    def __init__(self, key: str, runs: Sequence[Spent], said: str = "") -> None:
        self._key, self._runs, self._said = key, runs, said

    def make(self, name: str, unit: str, value: Callable[[Spent], float], goal: Goal | None = None) -> Figure:
        """A figure of a value of each run."""
        return self.of_values(name, unit, tuple(value(run) for run in self._runs), goal)

    def of_values(self, name: str, unit: str, values: tuple[float, ...], goal: Goal | None = None) -> Figure:
        """A figure of given values, one a run."""
        others, load = tuple(run.others for run in self._runs), tuple(run.load for run in self._runs)
        return Figure(self._key, name, unit, values, goal, self._said, others, load)
