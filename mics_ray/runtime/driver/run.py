"""The driver: starts the actors, feeds the workers, watches, and ends with an account that is true."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from mics_ray.assemble.locations import list_models
from mics_ray.assemble.trial import build_trials
from mics_ray.config.schema import Config
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, EXIT_STOPPED, RefusedRun, Stopped, find_exit_code
from mics_ray.io.input_files import InputError
from mics_ray.jobs.generation import GenerationJob, look_again
from mics_ray.jobs.job_end import JobEnd, describe_refusal
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.models.participation import find_silent
from mics_ray.runtime.driver.head_watch import HeadLost, HeadWatch, abandon_ray, watch_head
from mics_ray.runtime.driver.model_clients import DRAIN_S, ActorHandles, StartReplicas, read_waiting, start_models
from mics_ray.runtime.driver.worker_pool import WorkerPool
from mics_ray.runtime.driver.writer import start_writer
from mics_ray.runtime.monitor.heartbeat import Heartbeat
from mics_ray.runtime.monitor.latency import LATENCIES, note_latencies
from mics_ray.runtime.monitor.progress import Progress, Snapshot
from mics_ray.runtime.serving.engine_start import LostEngine, await_engines, try_engines
from mics_ray.runtime.serving.fetching import LostFetch, fetch_models
from mics_ray.runtime.serving.fleet import Fleet
from mics_ray.runtime.serving.model_actors import start_replicas
from mics_ray.runtime.serving.replica_policy import worker_count

log = logging.getLogger(__name__)

POLL_S = 0.5  # between two looks at the stop signal: what a person who presses Ctrl-C waits at most
DRAIN_HEADLESS_S = 5.0
""":data:`DRAIN_S` where the head of the cluster is lost: its nodes end soon too."""
RESTART_S = 60.0
"""How long a run may be without any worker."""
MAX_LOSSES_WITHOUT_ROW = 10
"""Worker losses in a row without a committed row between them: a case or the machine kills workers every time."""


def search_job(job: GenerationJob, progress: Progress, replicas: StartReplicas = start_replicas) -> JobEnd:
    """Search every pending case of ``job`` in the Ray that this process is connected to; ``replicas`` gives their
    handles. Raises :class:`RefusedRun` when the cluster cannot hold the models."""
    stop = StopSignal()
    with stop.handle_signals(), watch_head() as head:
        driver = _Driver(job, progress, stop, head)
        try:
            driver.start_actors(replicas)
            return driver.search_cases()
        except Stopped as stopped:
            return driver.end_run(stopped.code, str(stopped))
        except HeadLost as lost:
            abandon_ray()
            return driver.end_run(EXIT_STOPPED, str(lost))
        except RayError as error:
            if head.confirm_lost():
                abandon_ray()
                return driver.end_run(EXIT_STOPPED, head.message)
            if not isinstance(error, RayActorError):
                raise
            return driver.end_run(
                EXIT_STOPPED, f"an actor was lost for good ({type(error).__name__}); see {job.folder.logs}"
            )
        finally:
            progress.close()
            driver.shut_down()


class _Driver:
    """The actors of one run and the loop that watches them."""

    def __init__(self, job: GenerationJob, progress: Progress, stop: StopSignal, head: HeadWatch) -> None:
        self._job, self._progress, self._stop, self._head = job, progress, stop, head
        self._before = job.records - job.pending
        self._workers: WorkerPool | None = None
        self._handles: ActorHandles | None = None
        self._fleet: Fleet | None = None
        self._outcomes = Counter[str]()  # of the rows that were committed since the start
        self._at_start = Counter[str]()
        self._failure: str | None = None
        self._began: float | None = None
        self._heartbeat = Heartbeat(job.folder, job.records)

    def start_actors(self, replicas: StartReplicas) -> None:
        """Start all actors and wait until they are ready."""
        job, config = self._job, self._job.config
        cache, logs = str(job.folder.cache.absolute()), str(job.folder.logs.absolute())
        writer = start_writer(job.folder.results.absolute(), job.folder.logs.absolute())
        limits = config.budget_usd, config.cache.max_gb
        config = self._fetch_models(config)
        models = start_models(config, cache, logs, replicas, *limits, proven=job.proven)
        self._handles = replace(models, writer=writer)
        self._fleet = Fleet(config, models.replicas, cache, logs)
        window = min(config.window, job.pending)
        count = config.ray.workers or worker_count(ray.cluster_resources().get("CPU", 1.0), window)
        self._workers = WorkerPool(job, count, window, logs)
        self._workers.queue_pending(job)
        counts = writer.read_counts.remote()
        self._wait_for([counts, *(endpoint.read_stats.remote() for endpoint in models.endpoints.values())])
        self._at_start = Counter(ray.get(counts)["outcomes"])
        # Waited for last: engines load for minutes, and an actor that cannot start at all should be known before.
        if any(models.replicas.values()):
            self._start_engines(models.replicas, logs)

    def _start_engines(self, replicas: Mapping[str, Sequence[Any]], logs: str) -> None:
        count = sum(map(len, replicas.values()))
        self._progress.show_phase(f"loading {count} engine(s): {', '.join(replicas)}")
        try:
            trials = build_trials(self._job.config, self._job.iter_pending())  # while they load
        except InputError as error:
            raise RefusedRun(str(error)) from None
        try:
            await_engines(replicas, self._look_up, logs)
        except LostEngine:
            self._raise_if_head_lost()
            raise
        self._progress.show_phase("asking each engine for an answer to the largest cases")
        try_engines(trials, replicas, self._look_up)

    def _fetch_models(self, config: Config) -> Config:
        try:
            return fetch_models(config, str(self._job.folder.root), self._look_up, self._progress.show_phase)
        except LostFetch:
            self._raise_if_head_lost()
            raise

    def search_cases(self) -> JobEnd:
        """Assign spans to the workers until every record has its row."""
        self._began = time.monotonic()
        self._progress.show_phase(f"searching {self._job.pending} cases, {len(self._pool.actors)} worker(s)")
        while True:
            if end := self._search_spans():
                return end
            with suppress(
                RayActorError
            ):  # the rows of a writer that died were not acknowledged: workers send them again
                ray.get(self._require_handles().writer.flush_rows.remote())
            self._refresh_progress()
            if self._before + self._outcomes.total() == self._job.records:
                return self.end_run(EXIT_OK, "")
            # Only the shards on disk say what is done: where the counts do not add up, the input is looked at again.
            before, self._job = self._job.pending, look_again(self._job)
            if not (left := self._job.pending):
                return self.end_run(EXIT_OK, "")
            if left >= before:
                return self._give_up(left)
            self._pool.queue_pending(self._job)

    def _search_spans(self) -> JobEnd | None:
        """Assign spans until each one is searched; returns the end where the run has to end early."""
        pool, due = self._pool, 0.0
        while not pool.finished:
            pool.assign_and_wait(self._require_handles(), POLL_S)
            self._check_stop()
            if time.monotonic() < due:
                continue
            self._refresh_progress()
            due = time.monotonic() + POLL_S
            if pool.all_searched:
                self._require_handles().writer.flush_rows.remote()  # the last rows need not wait for their age
            if end := self._find_early_end():
                return end
            if pool.losses >= MAX_LOSSES_WITHOUT_ROW or pool.all_down_s > RESTART_S:
                return self._give_up(look_again(self._job).pending)
        return self._find_early_end()

    def _give_up(self, left: int) -> JobEnd:
        return self.end_run(EXIT_STOPPED, f"{left} cases without a row; see {self._job.folder.logs}")

    def _refresh_progress(self) -> None:
        """Poll the actors and show the progress; an actor that is just restarting is polled again next time."""
        self._write_heartbeat()
        pool = self._pool
        pool.refresh_states(POLL_S)
        with suppress(RayActorError, GetTimeoutError):
            counts = ray.get(self._require_handles().writer.read_counts.remote(), timeout=POLL_S)
            self._failure, outcomes = counts["failure"], Counter(counts["outcomes"]) - self._at_start
            if outcomes != self._outcomes:
                pool.losses, self._outcomes = 0, outcomes
        for line in pool.changes:
            self._progress.show_phase(line)
        pool.changes.clear()
        self._resize_fleet()
        calls = pool.calls
        self._progress.show_snapshot(
            Snapshot(
                total=self._job.records,
                before=self._before,
                outcomes=self._outcomes,
                searching=sum(state.searching for state in pool.states),
                calls=calls["calls"],
                cached=calls["cached"],
                seconds=self._search_seconds(),
            )
        )

    def _resize_fleet(self) -> None:
        """More replicas of an entry where its queue grows, fewer where it empties."""
        if self._fleet is None or not self._fleet.elastic:
            return
        queued = Counter[str]()
        for state in self._pool.states:
            queued.update(state.queued)
        if self._fleet.adjust_replicas(time.monotonic(), queued, self._pool.actors):
            self._handles = replace(self._require_handles(), replicas=self._fleet.replicas)
        for line in self._fleet.changes:
            self._progress.show_phase(line)
        self._fleet.changes.clear()

    def _find_early_end(self) -> JobEnd | None:
        """Why the workers ended before their spans did, if they did."""
        refused = next((state.refused for state in self._pool.states if state.refused), None)
        # A worker counts its own calls only: several that hear nothing may together know enough.
        refused = refused or find_silent(self._pool.attendance)
        write_error = next((state.write_error for state in self._pool.states if state.write_error), self._failure)
        if write_error:
            return self.end_run(EXIT_CANNOT_WRITE, f"cannot write results: {write_error}")
        if refused:
            said = describe_refusal(refused, list_models(self._job.config))
            return self.end_run(find_exit_code(refused.failure.kind), said)
        return None

    def end_run(self, code: int, message: str) -> JobEnd:
        """The end, with the seconds of search so far and who took part."""
        attendance = self._workers.attendance if self._workers is not None else {}
        return JobEnd(code, message, self._search_seconds(), attendance)

    def shut_down(self) -> None:
        """Stop the workers; wait until paid calls are in the cache and finished rows on disk."""
        if self._handles is None or self._workers is None:
            return
        self._note_latencies()
        if not self._head.lost:
            self._workers.close()
        with suppress(RayError) if self._head.lost else nullcontext():
            self._drain_actors(self._handles, DRAIN_HEADLESS_S if self._head.lost else DRAIN_S)
        if self._fleet is not None and not self._head.lost:
            self._fleet.close()

    def _drain_actors(self, handles: ActorHandles, drain_s: float) -> None:
        self._pool.stop_workers(wait_s=2)
        ends = [endpoint.drain.remote(drain_s) for endpoint in handles.endpoints.values()]
        ends.append(handles.writer.flush_rows.remote())
        ray.wait(ends, num_returns=len(ends), timeout=drain_s + 5)

    def _note_latencies(self) -> None:
        """Write what a later job can be planned from; on a full disk the file is missing."""
        if self._fleet is None or self._handles is None:
            return
        replicas = {name: len(handles) for name, handles in self._fleet.replicas.items()}
        waited = {} if self._head.lost else read_waiting(self._handles)
        try:
            note_latencies(
                self._job.folder, self._search_seconds(), replicas, waited, (one.latencies for one in self._pool.states)
            )
        except OSError as error:
            log.warning("%s is not written (%s)", LATENCIES, error.strerror)

    @property
    def _pool(self) -> WorkerPool:
        if self._workers is None:
            raise RuntimeError("start() first")
        return self._workers

    def _require_handles(self) -> ActorHandles:
        if self._handles is None:
            raise RuntimeError("start() first")
        return self._handles

    def _search_seconds(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began

    def _wait_for(self, refs: list[Any]) -> None:
        """Wait for all of ``refs``; an actor that cannot start or a stop ends the wait."""
        while refs:
            done, refs = ray.wait(refs, num_returns=len(refs), timeout=POLL_S)
            ray.get(done)
            self._look_up()

    def _look_up(self) -> None:
        """What is done meanwhile wherever the driver waits. Raises where a stop was requested or the head is lost."""
        self._write_heartbeat()
        self._check_stop()

    def _check_stop(self) -> None:
        """Raises where a stop was requested or the head is lost."""
        self._stop.raise_if_asked()
        self._head.raise_if_lost()

    def _raise_if_head_lost(self) -> None:
        """Raises where the head is lost, asking it where that is not known yet."""
        if self._head.confirm_lost():
            raise HeadLost(self._head.message) from None

    def _write_heartbeat(self) -> None:
        """Write the heartbeat, unless the head is silent: it asks the head for its nodes and would hang."""
        if not self._head.silent:
            self._heartbeat.write_if_due()
