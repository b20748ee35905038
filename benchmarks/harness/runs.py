"""Whole runs of `mics generate` and `mics evaluate` against a provider, as a user starts them, and what they took."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.figures import current_load
from benchmarks.harness.processes import ProcessWatch
from benchmarks.harness.provider import ROOT, ProviderProcess

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
