"""Log files of a run, under ``run.dir/logs``: one per process, and one line per case; never medical text or secrets."""

import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mics_ray.core.display import make_one_line
from mics_ray.core.types import Failure
from mics_ray.private_files import create_private, make_private_folder, open_append

CASE_LOG = "cases.jsonl"
LIVE_FILE = "live.json"
"""In the run's folder: the driver's heartbeat, see `mics_ray.runtime.monitor.heartbeat`."""

log = logging.getLogger(__name__)


def modified_ns(path: Path) -> int:
    """When a file was written last, in nanoseconds since 1970; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def log_into_folder(folder: Path, name: str) -> None:
    """Send this process's log records of ``mics_ray`` to ``folder/NAME.log``; on a full disk they are missing."""
    logging.raiseExceptions = False  # else each record on a full disk prints a traceback, which may quote the case
    make_private_folder(folder)
    path = folder / f"{name}.log"
    create_private(path)
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("mics_ray")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False  # the root logger is Ray's and the libraries': ours would be printed, too


@dataclass(frozen=True, slots=True)
class OutputFile:
    """Where the output of this process and of those that it starts goes; ``begun`` is where its own begins."""

    path: Path
    begun: int

    def read(self, most: int = 1_000_000) -> str:
        """What was written since, its first ``most`` bytes: the first of several errors is the cause of the others."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.begun)
                return file.read(most).decode("utf-8", "replace")
        except OSError:
            return ""


def write_output_into(folder: Path, name: str) -> OutputFile:
    """Send what this process and those it starts write (descriptors 1 and 2) to ``folder/NAME.log``."""
    make_private_folder(folder)
    path = folder / f"{name}.log"
    # Descriptors and not `sys.stderr`: an engine's core is a process of its own, and C++ writes as well.
    target = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        begun = os.fstat(target).st_size
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor in (1, 2):
            os.dup2(target, descriptor)
    finally:
        os.close(target)
    return OutputFile(path, begun)


class _OneLine(logging.Formatter):
    """A record is one line, whatever an id holds; only a traceback has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return make_one_line(super().formatMessage(record))


def count_lost_calls(row: Mapping[str, Any]) -> Counter[str]:
    """The votes and candidates of a row without an answer or a verdict, by failure kind."""
    failures = [node["failure"] for node in row["nodes"]]
    failures += [vote["failure"] for node in row["nodes"] for vote in node["votes"]]
    # What follows the kind is the message; it holds no text of a case, and is not needed here either.
    return Counter(Failure.parse(failure).kind for failure in failures if failure)


def case_line(row: Mapping[str, Any], now: float) -> str:
    """One case as a line of JSON: ids and counts. ``now`` is the time of its commit in seconds since 1970."""
    used = row["usage"]
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "case": row["case_id"],
        "outcome": row["outcome"],
        "quality": row["quality"],
        "rounds": row["rounds"],
        "attempts": row["attempts"],
        "calls": sum(one["calls"] for one in used),
        "cached": sum(one["cached_calls"] for one in used),
        "prompt_tokens": sum(one["prompt_tokens"] for one in used),
        "completion_tokens": sum(one["completion_tokens"] for one in used),
        "cached_tokens": sum(one["cached_tokens"] for one in used),
        "reasoning_tokens": sum(one["reasoning_tokens"] for one in used),
        "cost_usd": round(sum(one["cost_usd"] for one in used), 6),
        "seconds": round(row["seconds"], 3),
        "failures": dict(count_lost_calls(row)),
    }
    return json.dumps(line, separators=(",", ":"))


class CaseLog:
    """``cases.jsonl``: a line for each committed case. A line that cannot be written is no reason to stop."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / CASE_LOG

    def append_rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append a line for each row."""
        now = time.time()
        text = "".join(case_line(row, now) + "\n" for row in rows)
        try:
            with open(self._path, "a", encoding="utf-8", opener=open_append) as file:
                file.write(text)
        except OSError as error:
            log.warning("%s: lines are missing (%s)", CASE_LOG, error.strerror)
