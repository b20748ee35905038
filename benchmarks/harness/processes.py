"""CPU, memory, handles and threads of processes and all below them, from ``/proc``, over time and by what they are."""

import os
import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

TICKS = os.sysconf("SC_CLK_TCK")
ROLES = {
    "ray::EndpointActor": "endpoint actor",
    "ray::SearchWorker": "search worker",
    "ray::WriterActor": "writer",
    "ray::ReplicaActor": "replica",
    "ray::": "other Ray workers",
    "benchmarks.harness.provider": "provider",
    "gcs_server": "Ray's own",
    "raylet": "Ray's own",
    "ray/dashboard": "Ray's own",
    "ray/_private": "Ray's own",
    "ray/util": "Ray's own",
}
"""What stands in a command line, and what such a process is; the first that fits."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process: seconds of CPU so far, private memory in MB, open handles, threads."""

    at: float
    cpu_s: float
    megabytes: float
    handles: int
    threads: int


@dataclass(slots=True)
class Track:
    """One process over time."""

    role: str
    samples: list[Sample] = field(default_factory=list)

    def cpu_at(self, at: float) -> float:
        """Seconds of CPU until a moment, between two looks by proportion."""
        place = bisect_right(self.samples, at, key=lambda one: one.at)
        if place == 0:
            return 0.0
        before = self.samples[place - 1]
        if place == len(self.samples):
            return before.cpu_s
        after = self.samples[place]
        return before.cpu_s + (after.cpu_s - before.cpu_s) * (at - before.at) / (after.at - before.at)


class ProcessWatch:
    """Looks at ``roots`` (pid -> role, "" for what the command line says) and all below them ``every_s`` seconds.

    ``detailed``: handles and memory at each look, too, which costs more.
    """

    def __init__(self, roots: Mapping[int, str], every_s: float = 0.1, detailed: bool = False) -> None:
        self._roots, self._every_s, self._detailed = dict(roots), every_s, detailed
        self.tracks: dict[tuple[int, int], Track] = {}
        self.busy: list[tuple[float, float]] = []
        """Moments, and seconds of CPU of the whole machine until then."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "ProcessWatch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def cpu_by_role(self, first: float, last: float) -> dict[str, float]:
        """Seconds of CPU between two moments (``time.monotonic``)."""
        used: defaultdict[str, float] = defaultdict(float)
        for track in self.tracks.values():
            used[track.role] += track.cpu_at(last) - track.cpu_at(first)
        return dict(used)

    def others_cores(self, first: float, last: float) -> float:
        """Cores that anything but these processes kept busy between two moments."""
        whole = Track("machine", [Sample(at, cpu_s, 0, 0, 0) for at, cpu_s in self.busy])
        first = max(first, self.busy[0][0])  # what the machine did before the first look is not known
        own = sum(self.cpu_by_role(first, last).values())
        return max(0.0, whole.cpu_at(last) - whole.cpu_at(first) - own) / max(last - first, 1e-9)

    def pids(self) -> set[int]:
        """Every process that was seen."""
        return {pid for pid, _ in self.tracks}

    def _run(self) -> None:
        while True:
            self._look()
            if self._stop.wait(self._every_s):
                self._look()
                return

    def _look(self) -> None:
        now, table = time.monotonic(), dict(read_processes())
        self.busy.append((now, read_machine_cpu()))
        for pid in list_family(table, self._roots):
            known = self.tracks.setdefault((pid, table[pid].started), Track(""))
            known.role = self._roots.get(pid) or self._name_role(pid, known.role)
            megabytes, handles, threads = read_holdings(pid) if self._detailed else (0.0, 0, 0)
            known.samples.append(Sample(now, table[pid].cpu_s, megabytes, handles, threads))

    @staticmethod
    def _name_role(pid: int, before: str) -> str:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return before
        # Ray renames its workers: one that waits for work may have had some, and has it no more.
        if not line or line.startswith("ray::IDLE"):
            return before or "other Ray workers"
        return next((role for mark, role in ROLES.items() if mark in line), "driver")


@dataclass(frozen=True, slots=True)
class ProcessLine:
    """A line of the process table; ``started`` in ticks since the machine's start, which tells pids apart."""

    parent: int
    cpu_s: float
    started: int


def read_processes() -> Iterator[tuple[int, ProcessLine]]:
    """All processes."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            cells = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        yield int(name), ProcessLine(int(cells[1]), (int(cells[11]) + int(cells[12])) / TICKS, int(cells[19]))


def list_family(table: Mapping[int, ProcessLine], roots: Mapping[int, str]) -> list[int]:
    """The roots that run, and all below them."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, line in table.items():
        children[line.parent].append(pid)
    found, waiting = set[int](), [pid for pid in roots if pid in table]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children[pid]
    return sorted(found)


def read_machine_cpu() -> float:
    """Seconds of CPU that the machine has used, what a hypervisor gave to others included."""
    user, nice, system, _, _, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + soft + steal) / TICKS


def read_holdings(pid: int) -> tuple[float, int, int]:
    """Private memory in MB, open handles and threads; zeros where the process has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines if ":" in line)
        handles = len(os.listdir(f"/proc/{pid}/fd"))
        return int(status["RssAnon"].split()[0]) / 1024, handles, int(status["Threads"])
    except (OSError, KeyError):
        return 0.0, 0, 0
