"""Signals for the processes of one run, and for nothing else on the machine; what was sent is counted."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence

from tests.support.processes import named

TITLES = {
    "worker": "ray::SearchWorker",
    "writer": "ray::WriterActor",
    "endpoint": "ray::EndpointActor",
    "intern": "ray::ModelReplica",
}


class Killer:
    """Ends or stops the driver ``run`` or descendants of it; ``sent`` counts by (target, name of the signal)."""

    def __init__(self, run: "subprocess.Popen[str]", seed: int = 0) -> None:
        self._run = run
        self._rng = random.Random(seed)
        self.sent: Counter[tuple[str, str]] = Counter()

    @property
    def alive(self) -> bool:
        """Whether the driver has not ended."""
        return self._run.poll() is None

    def pids(self, target: str) -> list[int]:
        """The processes that play a part: ``driver``, ``worker``, ``writer``, ``endpoint``, ``intern``."""
        if target == "driver":
            return [self._run.pid] if self.alive else []
        return named(self._run.pid, TITLES[target])

    def strike(self, target: str, number: signal.Signals = signal.SIGKILL) -> int | None:
        """Send a signal to one process of ``target``; its pid, or ``None`` where there is none."""
        victims = self.pids(target)
        if not victims:
            return None
        victim = self._rng.choice(sorted(victims))
        try:
            os.kill(victim, number)
        except ProcessLookupError:
            return None
        self.sent[target, number.name] += 1
        return victim

    def pause(self, seconds: float, *targets: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        """SIGSTOP a process of each target, and SIGCONT after a while. Raises ``LookupError`` where there is none."""
        victims = {target: self.strike(target, signal.SIGSTOP) for target in targets}
        meanwhile()
        time.sleep(seconds)
        for target, victim in victims.items():
            if victim is None:
                raise LookupError(target)
            os.kill(victim, signal.SIGCONT)
            self.sent[target, "SIGCONT"] += 1

    def strike_any(self, targets: Sequence[str]) -> None:
        """SIGKILL a process of a target that is drawn by the seed."""
        self.strike(self._rng.choice(list(targets)))

    def every(self, seconds: float, targets: Sequence[str], until: float, work: Callable[[], int]) -> None:
        """Kill a drawn target about every so many seconds (by the seed) until the run or the time is over.

        A kill waits until ``work``, which counts what the run does, has grown since the last one: the run is back.
        """
        while self.alive and time.monotonic() < until:
            due, done = time.monotonic() + seconds * self._rng.uniform(0.8, 1.2), work()
            while self.alive and (time.monotonic() < due or work() == done):
                time.sleep(0.1)
            self.strike_any(targets)
