"""The driver: starts the actors, feeds the workers, watches, and ends with an account that is true."""

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from mics_ray.assemble import providers
from mics_ray.config import Config
from mics_ray.core.types import Failure
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, EXIT_STOPPED, RefusedRun, exit_code
from mics_ray.runtime.beacon import Beacon
from mics_ray.runtime.cluster import cluster
from mics_ray.runtime.dataset import shards
from mics_ray.runtime.endpoints import start_endpoint
from mics_ray.runtime.fleet import Fleet
from mics_ray.runtime.interns import start_interns
from mics_ray.runtime.latency import LATENCIES, together
from mics_ray.runtime.prepare import Job, survey_again
from mics_ray.runtime.progress import Progress, Snapshot
from mics_ray.runtime.scaling import worker_count
from mics_ray.runtime.stopper import Stopper
from mics_ray.runtime.worker import Hands, SearchWorker, WorkerState
from mics_ray.runtime.writer import start_writer

log = logging.getLogger(__name__)

StartInterns = Callable[[Config, str, str], Mapping[str, list[Any]]]

POLL_S = 0.5
DRAIN_S = 15.0
"""How long paid calls may take to come home when a run is stopped."""
RESTART_S = 60.0
"""How long a lost worker may take to be back."""
BARREN_PASSES = 10
"""Passes in a row that lose a worker and bring no row: then it is no accident."""


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended: the exit code, a line for the person, and the seconds of search."""

    code: int
    message: str
    search_seconds: float


class _Stop(Exception):
    """The person asked for a stop."""


def run(job: Job, progress: Progress) -> End:
    """Search every pending case of ``job``. Raises :class:`RefusedRun` when the cluster cannot hold the interns."""
    with cluster(job.config.ray):
        return search(job, progress)


def search(job: Job, progress: Progress, interns: StartInterns = start_interns) -> End:
    """:func:`run` in the Ray that this process is connected to; ``interns`` gives the replicas' handles."""
    stopper = Stopper()
    with stopper.listening():
        driver = _Driver(job, progress, stopper)
        try:
            driver.start(interns)
            return driver.search()
        except _Stop:
            return driver.end(EXIT_STOPPED, "stopped; the same command goes on")
        except RayActorError as error:
            return driver.end(
                EXIT_STOPPED, f"an actor was lost for good ({type(error).__name__}); see {job.folder.logs}"
            )
        finally:
            progress.close()
            driver.leave()


class _Driver:
    """The actors of one run and the loop that watches them."""

    def __init__(self, job: Job, progress: Progress, stopper: Stopper) -> None:
        self._job, self._progress, self._stopper = job, progress, stopper
        self._before = job.survey.records - job.survey.pending
        self._workers: list[Any] = []
        self._opened: list[Any] = []
        self._hands: Hands | None = None
        self._fleet: Fleet | None = None
        self._states: list[WorkerState] = []
        self._counts: dict[str, Any] = {"outcomes": {}, "failure": None}
        self._began: float | None = None
        self._beacon = Beacon(job.folder, job.survey.records)

    def start(self, interns: StartInterns) -> None:
        """Start all actors and wait until they are ready."""
        job, config = self._job, self._job.config
        cache, logs = str(job.folder.cache.absolute()), str(job.folder.logs.absolute())
        writer = start_writer(job.folder.results.absolute(), job.folder.logs.absolute())
        endpoints = {
            provider: start_endpoint(entries, cache, f"endpoint-{number}", config.budget_usd, config.cache.max_gb)
            for number, (provider, entries) in enumerate(providers(config).items())
        }
        replicas = interns(config, cache, logs)
        self._hands = Hands(endpoints, replicas, writer)
        self._fleet = Fleet(config, replicas, cache, logs)
        window = min(config.window, job.survey.pending)
        count = config.ray.workers or worker_count(ray.cluster_resources().get("CPU", 1.0), window)
        actor = ray.remote(SearchWorker).options(num_cpus=0, max_restarts=-1, max_concurrency=100)
        self._workers = [
            actor.remote(number, config, job.stamp, math.ceil(window / count), logs) for number in range(count)
        ]
        # Reading begins here: Ray Data takes seconds to start, engines take longer.
        self._open_shards()
        self._await([writer.counts.remote(), *(endpoint.stats.remote() for endpoint in endpoints.values())])
        engines = [replica.ready.remote() for handles in replicas.values() for replica in handles]
        if engines:
            self._progress.phase(f"loading {len(engines)} intern engine(s): {', '.join(replicas)}")
            try:
                self._await(engines)
            except RayError as error:
                raise RefusedRun(f"an intern's engine did not start ({type(error).__name__}); see {logs}") from None

    def search(self) -> End:
        """Pass after pass over what has no row yet; more than one only when a worker was lost."""
        self._began = time.monotonic()
        self._progress.phase(f"searching {self._job.survey.pending} cases, {len(self._workers)} worker(s)")
        barren = 0
        while True:
            lost = self._pass()
            if end := self._early_end():
                return end
            with suppress(RayActorError):  # a writer that died holds nothing that anybody was told of
                ray.get(self._need().writer.flush.remote())
            self._look()
            if self._before + sum(self._counts["outcomes"].values()) == self._job.survey.records:
                return self.end(EXIT_OK, "")
            left, self._job = self._job.survey.pending, survey_again(self._job)
            if not self._job.survey.pending:
                return self.end(EXIT_OK, "")
            barren = barren + 1 if self._job.survey.pending >= left else 0
            if barren and (not lost or barren >= BARREN_PASSES):
                return self.end(EXIT_STOPPED, f"{left} cases without a row; see {self._job.folder.logs}")
            self._regain()
            self._open_shards()

    def _open_shards(self) -> None:
        """Share the cases without a row out to the workers, which begin to read them."""
        pairs = zip(self._workers, shards(self._job.survey.spans, len(self._workers)), strict=True)
        self._opened = [worker.open.remote(self._hands, shard) for worker, shard in pairs]

    def _pass(self) -> bool:
        """Run the workers to the end of their shards; whether one of them was lost on the way."""
        lost = False
        try:
            self._await(self._opened)
        except RayError as error:
            return self._tell_loss(error)
        running = [worker.run.remote() for worker in self._workers]
        while running:
            done, running = ray.wait(running, num_returns=len(running), timeout=POLL_S)
            self._look()
            if self._stopper.asked:
                raise _Stop
            for ref in done:
                try:
                    ray.get(ref)
                except RayError as error:
                    lost = self._tell_loss(error)
        return lost

    def _tell_loss(self, error: RayError) -> bool:
        """A lost worker's cases are found again by the next pass; its calls are in the cache."""
        self._progress.phase(f"a search worker was lost ({type(error).__name__}); its cases are searched again")
        return True

    def _regain(self) -> None:
        """Wait until every worker answers: Ray turns calls to an actor away while it starts it again."""
        deadline = time.monotonic() + RESTART_S
        while time.monotonic() < deadline and not self._stopper.asked:
            try:
                ray.get([worker.state.remote() for worker in self._workers], timeout=RESTART_S)
                return
            except (RayActorError, GetTimeoutError):
                time.sleep(POLL_S)

    def _look(self) -> None:
        """Ask the actors where they stand; one that is just restarting is asked again next time."""
        self._beacon.shine()
        try:
            self._counts = ray.get(self._need().writer.counts.remote(), timeout=POLL_S)
            self._states = ray.get([worker.state.remote() for worker in self._workers], timeout=POLL_S)
        except (RayActorError, GetTimeoutError):
            return
        self._scale()
        calls = Counter[str]()
        for used in (used for state in self._states for used in state.usage.values()):
            calls.update(calls=used.calls, cached=used.cached_calls)
        self._progress.show(
            Snapshot(
                total=self._job.survey.records,
                before=self._before,
                outcomes=self._counts["outcomes"],
                searching=sum(state.searching for state in self._states),
                calls=calls["calls"],
                cached=calls["cached"],
                seconds=self._seconds(),
            )
        )

    def _scale(self) -> None:
        """More replicas of an intern where its queue grows, fewer where it empties."""
        if self._fleet is None or not self._fleet.elastic:
            return
        queued = Counter[str]()
        for state in self._states:
            queued.update(state.queued)
        if self._fleet.step(time.monotonic(), queued, self._workers):
            self._hands = replace(self._need(), replicas=self._fleet.replicas)
        for line in self._fleet.changes:
            self._progress.phase(line)
        self._fleet.changes.clear()

    def _early_end(self) -> End | None:
        """Why the workers ended before their shards did, if they did."""
        self._look()
        refused = next((state.refused for state in self._states if state.refused), None)
        broken = next((state.broken for state in self._states if state.broken), self._counts["failure"])
        if broken:
            return self.end(EXIT_CANNOT_WRITE, f"cannot write results: {broken}")
        if refused:
            return self.end(*refusal(refused))
        return None

    def end(self, code: int, message: str) -> End:
        """The end, with the seconds of search so far."""
        return End(code, message, self._seconds())

    def leave(self) -> None:
        """Stop the workers, let paid calls come home into the cache and searched cases onto the disk."""
        if self._hands is None:
            return
        self._note_latencies()
        stops = [worker.stop.remote() for worker in self._workers]
        ray.wait(stops, num_returns=len(stops), timeout=2)
        ends = [endpoint.drain.remote(DRAIN_S) for endpoint in self._hands.endpoints.values()]
        ends.append(self._hands.writer.flush.remote())
        ray.wait(ends, num_returns=len(ends), timeout=DRAIN_S + 5)
        if self._fleet is not None:
            self._fleet.close()

    def _note_latencies(self) -> None:
        """Leave what a later job can be planned from; on a full disk it is missing."""
        latencies = together(state.latencies for state in self._states)
        if latencies and self._fleet is not None:
            replicas = {name: len(handles) for name, handles in self._fleet.replicas.items()}
            noted = {"search_seconds": self._seconds(), "replicas": replicas, "latencies": latencies}
            try:
                self._job.folder.write(LATENCIES, json.dumps(noted))
            except OSError as error:
                log.warning("%s is not written (%s)", LATENCIES, error.strerror)

    def _need(self) -> Hands:
        if self._hands is None:
            raise RuntimeError("start() first")
        return self._hands

    def _seconds(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began

    def _await(self, refs: list[Any]) -> None:
        """Wait for all of ``refs``; an actor that cannot start or a stop ends the wait."""
        while refs:
            done, refs = ray.wait(refs, num_returns=len(refs), timeout=POLL_S)
            ray.get(done)
            self._beacon.shine()
            if self._stopper.asked:
                raise _Stop


def refusal(failure: Failure) -> tuple[int, str]:
    """Exit code and message of a run that a provider or a full disk ended."""
    more = "the same command with more budget_usd" if failure.kind == "budget" else "the same command"
    return exit_code(failure.kind), f"{failure.kind}: {failure.message}; what was paid is kept, {more} goes on"
