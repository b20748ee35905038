"""The driver: starts the actors, feeds the workers, watches, and ends with an account that is true."""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from mics_ray.assemble.panel import providers
from mics_ray.config.schema import Config
from mics_ray.core.display import one_line
from mics_ray.core.types import Failure
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, EXIT_STOPPED, RefusedRun, exit_code
from mics_ray.jobs.generation import GenerationJob, survey_again
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.runtime.driver.cluster import join_cluster
from mics_ray.runtime.driver.endpoint_actors import start_endpoint
from mics_ray.runtime.driver.head_watch import HeadLost, HeadWatch, abandon, watch
from mics_ray.runtime.driver.search_worker import ActorHandles
from mics_ray.runtime.driver.worker_pool import WorkerPool
from mics_ray.runtime.driver.writer import start_writer
from mics_ray.runtime.monitor.heartbeat import Heartbeat
from mics_ray.runtime.monitor.latency import LATENCIES, merge_buckets
from mics_ray.runtime.monitor.progress import Progress, Snapshot
from mics_ray.runtime.serving.fleet import Fleet
from mics_ray.runtime.serving.model_actors import start_interns
from mics_ray.runtime.serving.replica_policy import worker_count

log = logging.getLogger(__name__)

StartInterns = Callable[[Config, str, str], Mapping[str, list[Any]]]

POLL_S = 0.5
DRAIN_S = 15.0
"""How long paid calls may take to come home when a run is stopped."""
DRAIN_HEADLESS_S = 5.0
"""The same where the head of the cluster is lost: its nodes end soon too."""
RESTART_S = 60.0
"""How long a run may be without any worker."""
BARREN_LOSSES = 10
"""Losses in a row that no row came between: then they are no accident."""


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended: the exit code, a line for the person, and the seconds of search."""

    code: int
    message: str
    search_seconds: float


class _Stop(Exception):
    """The person asked for a stop."""


def run(job: GenerationJob, progress: Progress) -> End:
    """Search every pending case of ``job``. Raises :class:`RefusedRun` when the cluster cannot hold the interns."""
    with join_cluster(job.config.ray):
        return search_job(job, progress)


def search_job(job: GenerationJob, progress: Progress, interns: StartInterns = start_interns) -> End:
    """:func:`run` in the Ray that this process is connected to; ``interns`` gives the replicas' handles."""
    stopper = StopSignal()
    with stopper.listening(), watch() as head:
        driver = _Driver(job, progress, stopper, head)
        try:
            driver.start(interns)
            return driver.search()
        except _Stop:
            return driver.end(EXIT_STOPPED, "stopped; the same command goes on")
        except HeadLost as lost:
            abandon()
            return driver.end(EXIT_STOPPED, str(lost))
        except RayError as error:
            if head.gone():
                abandon()
                return driver.end(EXIT_STOPPED, head.message)
            if not isinstance(error, RayActorError):
                raise
            return driver.end(
                EXIT_STOPPED, f"an actor was lost for good ({type(error).__name__}); see {job.folder.logs}"
            )
        finally:
            progress.close()
            driver.leave()


class _Driver:
    """The actors of one run and the loop that watches them."""

    def __init__(self, job: GenerationJob, progress: Progress, stopper: StopSignal, head: HeadWatch) -> None:
        self._job, self._progress, self._stopper, self._head = job, progress, stopper, head
        self._before = job.survey.records - job.survey.pending
        self._workers: WorkerPool | None = None
        self._hands: ActorHandles | None = None
        self._fleet: Fleet | None = None
        self._outcomes = Counter[str]()
        """Of the rows that were committed since the start."""
        self._at_start = Counter[str]()
        self._failure: str | None = None
        self._began: float | None = None
        self._beacon = Heartbeat(job.folder, job.survey.records)

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
        self._hands = ActorHandles(endpoints, replicas, writer)
        self._fleet = Fleet(config, replicas, cache, logs)
        window = min(config.window, job.survey.pending)
        count = config.ray.workers or worker_count(ray.cluster_resources().get("CPU", 1.0), window)
        self._workers = WorkerPool(job, count, window, logs)
        self._workers.begin(job.survey.spans)
        counts = writer.counts.remote()
        self._await([counts, *(endpoint.stats.remote() for endpoint in endpoints.values())])
        self._at_start = Counter(ray.get(counts)["outcomes"])
        engines = [replica.ready.remote() for handles in replicas.values() for replica in handles]
        if engines:
            self._progress.phase(f"loading {len(engines)} intern engine(s): {', '.join(replicas)}")
            try:
                self._await(engines)
            except RayError as error:
                if self._head.gone():
                    raise HeadLost(self._head.message) from None
                raise RefusedRun(f"an intern's engine did not start ({_reason(error)}); see {logs}") from None

    def search(self) -> End:
        """Deal what has no row yet to the workers, until all of it has one."""
        self._began = time.monotonic()
        self._progress.phase(f"searching {self._job.survey.pending} cases, {len(self._crew.actors)} worker(s)")
        while True:
            if end := self._until_over():
                return end
            with suppress(RayActorError):  # a writer that died holds nothing that anybody was told of
                ray.get(self._need().writer.flush.remote())
            self._look()
            if self._before + self._outcomes.total() == self._job.survey.records:
                return self.end(EXIT_OK, "")
            before, self._job = self._job.survey.pending, survey_again(self._job)
            if not (left := self._job.survey.pending):
                return self.end(EXIT_OK, "")
            if left >= before:
                return self._give_up(left)
            self._crew.begin(self._job.survey.spans)

    def _until_over(self) -> End | None:
        """Deal until every span is searched; the reason, where that ends early."""
        crew, due = self._crew, 0.0
        while not crew.over:
            crew.step(self._need(), POLL_S)
            self._heed()
            if time.monotonic() < due:
                continue
            self._look()
            due = time.monotonic() + POLL_S
            if end := self._early_end():
                return end
            if crew.losses >= BARREN_LOSSES or crew.away_s > RESTART_S:
                return self._give_up(survey_again(self._job).survey.pending)
        return self._early_end()

    def _give_up(self, left: int) -> End:
        return self.end(EXIT_STOPPED, f"{left} cases without a row; see {self._job.folder.logs}")

    def _look(self) -> None:
        """Ask the actors where they stand; one that is just restarting is asked again next time."""
        self._shine()
        crew = self._crew
        crew.look(POLL_S)
        with suppress(RayActorError, GetTimeoutError):
            counts = ray.get(self._need().writer.counts.remote(), timeout=POLL_S)
            self._failure, outcomes = counts["failure"], Counter(counts["outcomes"]) - self._at_start
            if outcomes != self._outcomes:
                crew.losses, self._outcomes = 0, outcomes
        for line in crew.changes:
            self._progress.phase(line)
        crew.changes.clear()
        self._scale()
        calls = crew.calls
        self._progress.show(
            Snapshot(
                total=self._job.survey.records,
                before=self._before,
                outcomes=self._outcomes,
                searching=sum(state.searching for state in crew.states),
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
        for state in self._crew.states:
            queued.update(state.queued)
        if self._fleet.step(time.monotonic(), queued, self._crew.actors):
            self._hands = replace(self._need(), replicas=self._fleet.replicas)
        for line in self._fleet.changes:
            self._progress.phase(line)
        self._fleet.changes.clear()

    def _early_end(self) -> End | None:
        """Why the workers ended before their spans did, if they did."""
        refused = next((state.refused for state in self._crew.states if state.refused), None)
        broken = next((state.broken for state in self._crew.states if state.broken), self._failure)
        if broken:
            return self.end(EXIT_CANNOT_WRITE, f"cannot write results: {broken}")
        if refused:
            return self.end(*describe_refusal(refused))
        return None

    def end(self, code: int, message: str) -> End:
        """The end, with the seconds of search so far."""
        return End(code, message, self._seconds())

    def leave(self) -> None:
        """Stop the workers, let paid calls come home into the cache and searched cases onto the disk."""
        if self._hands is None or self._workers is None:
            return
        self._note_latencies()
        if not self._head.lost:
            self._workers.close()
        with suppress(RayError) if self._head.lost else nullcontext():
            self._send_home(self._hands, DRAIN_HEADLESS_S if self._head.lost else DRAIN_S)
        if self._fleet is not None and not self._head.lost:
            self._fleet.close()

    def _send_home(self, hands: ActorHandles, drain_s: float) -> None:
        self._crew.stop(wait_s=2)
        ends = [endpoint.drain.remote(drain_s) for endpoint in hands.endpoints.values()]
        ends.append(hands.writer.flush.remote())
        ray.wait(ends, num_returns=len(ends), timeout=drain_s + 5)

    def _note_latencies(self) -> None:
        """Leave what a later job can be planned from; on a full disk it is missing."""
        latencies = merge_buckets(state.latencies for state in self._crew.states)
        if latencies and self._fleet is not None:
            replicas = {name: len(handles) for name, handles in self._fleet.replicas.items()}
            noted = {"search_seconds": self._seconds(), "replicas": replicas, "latencies": latencies}
            try:
                self._job.folder.write(LATENCIES, json.dumps(noted))
            except OSError as error:
                log.warning("%s is not written (%s)", LATENCIES, error.strerror)

    @property
    def _crew(self) -> WorkerPool:
        if self._workers is None:
            raise RuntimeError("start() first")
        return self._workers

    def _need(self) -> ActorHandles:
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
            self._shine()
            self._heed()

    def _heed(self) -> None:
        """End the wait where a stop is asked for or the head is lost."""
        if self._stopper.asked:
            raise _Stop
        self._head.check()

    def _shine(self) -> None:
        """The sign of life asks the head for its nodes, and would wait for one that is silent."""
        if not self._head.silent:
            self._beacon.write_if_due()


def _reason(error: RayError) -> str:
    """What went wrong while engines load, when no text of a case is near."""
    cause = getattr(error, "cause", None) or error
    said = str(cause).strip().partition("\n")[0]
    return one_line(f"{type(cause).__name__}: {said[:200]}")


def describe_refusal(failure: Failure) -> tuple[int, str]:
    """Exit code and message of a run that a provider or a full disk ended."""
    more = "the same command with more budget_usd" if failure.kind == "budget" else "the same command"
    return exit_code(failure.kind), f"{failure.kind}: {failure.message}; what was paid is kept, {more} goes on"
