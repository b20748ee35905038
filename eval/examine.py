"""The part of an evaluation that runs on Ray: the model's replicas, the judge's endpoint, the window of items."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eval.answer import Examiner
from eval.answer_writer import AnswerWriter, Score
from eval.bert_score import scores
from eval.prepare import Work
from eval.progress import line
from eval.rows import ANSWERS
from mics_ray.assemble.locations import group_by_provider
from mics_ray.errors import EXIT_OK, RefusedRun
from mics_ray.io.shards import ShardStore
from mics_ray.jobs.job_end import ENDS, JobEnd, describe_end
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.jobs.window import POLL_S, make_rows
from mics_ray.models.types import Model
from mics_ray.runtime.driver.endpoint_actors import RemoteEndpoint, start_endpoint
from mics_ray.runtime.driver.run import DRAIN_S, StartInterns
from mics_ray.runtime.monitor.progress import Progress
from mics_ray.runtime.serving.model_actors import RayReplica, connect_routers, start_interns
from mics_ray.runtime.serving.picture_refs import PictureRefs
from mics_ray.runtime.serving.replica_state import ReplicaDown
from mics_ray.runtime.serving.router import Router


def examine(work: Work, progress: Progress, interns: StartInterns = start_interns) -> JobEnd:
    """Answer every pending item, in the Ray that this process is connected to; ``interns`` gives the replicas' handles.

    Raises :class:`RefusedRun` when the cluster cannot hold the models or an engine does not start.
    """
    stop = StopSignal()
    with stop.listening():
        try:
            return asyncio.run(_examine(work, progress, interns, stop))
        finally:
            progress.close()


async def _examine(work: Work, progress: Progress, interns: StartInterns, stop: StopSignal) -> JobEnd:
    began = time.monotonic()
    hall = _Hall.start(work, interns)
    answers = AnswerWriter(ShardStore(work.folder.results, ANSWERS), _score(work))
    try:
        progress.show_phase(f"loading {', '.join(hall.replicas) or 'no engine'}")
        await _ready(hall.engines(), stop, str(work.folder.logs))
        progress.show_phase(f"asking {len(work.pending)} items")
        began = time.monotonic()
        await _answer_items(work, hall, answers, progress, stop)
        return JobEnd(EXIT_OK, "", time.monotonic() - began)
    except ENDS as error:
        return describe_end(error, time.monotonic() - began)
    finally:
        await hall.leave()


async def _answer_items(work: Work, hall: "_Hall", answers: AnswerWriter, progress: Progress, stop: StopSignal) -> None:
    began, before = time.monotonic(), work.total - len(work.pending)

    def show_progress(running: int) -> None:
        text = line(work.total, before, answers.verdicts, running, time.monotonic() - began)
        progress.show_line(before + sum(answers.verdicts.values()), work.total, text)

    examiner = Examiner(work, hall.models_for)
    await make_rows(work.pending, examiner.row, answers.rows, work.job.window, stop, show_progress)


def _score(work: Work) -> Score | None:
    """BERTScore with the model that is configured."""
    model, layers = work.job.eval.bert_score_model, work.job.eval.bert_score_layers
    return None if model is None else lambda candidates, references: scores(candidates, references, model, layers)


@dataclass
class _Hall:
    """The actors of an evaluation, and the handles on them in this event loop."""

    endpoints: Mapping[str, Any]
    replicas: Mapping[str, list[Any]]
    pictures: PictureRefs = field(default_factory=PictureRefs)
    remote: dict[str, Model] = field(default_factory=dict)
    routers: dict[str, Router] = field(default_factory=dict)

    @classmethod
    def start(cls, work: Work, interns: StartInterns) -> "_Hall":
        cache, logs = str(work.folder.cache.absolute()), str(work.folder.logs.absolute())
        groups = group_by_provider(work.config)
        actors = {
            name: start_endpoint(entries, cache, f"endpoint-{n}") for n, (name, entries) in enumerate(groups.items())
        }
        hall = cls(actors, interns(work.config, cache, logs))
        for provider, entries in groups.items():
            handle = RemoteEndpoint(actors[provider], hall.pictures)
            hall.remote |= dict.fromkeys(entries, handle)
        hall.routers = connect_routers(hall.replicas, hall.pictures)
        return hall

    def engines(self) -> list[RayReplica]:
        """Every replica of every model."""
        return [RayReplica(handle, self.pictures) for handles in self.replicas.values() for handle in handles]

    def models_for(self, case_id: str) -> dict[str, Model]:
        """Every model by name, for one item."""
        return self.remote | {name: router.bind_case(case_id) for name, router in self.routers.items()}

    async def leave(self) -> None:
        """Let paid calls come home into the cache."""
        ends = [asyncio.ensure_future(_quietly(actor.drain.remote(DRAIN_S))) for actor in self.endpoints.values()]
        if ends:
            await asyncio.wait(ends, timeout=DRAIN_S + 5)


async def _quietly(reference: Any) -> None:
    """Await what may fail when all is over anyway."""
    await asyncio.gather(_awaited(reference), return_exceptions=True)


async def _awaited(reference: Any) -> Any:
    return await reference


async def _ready(engines: Iterable[RayReplica], stop: StopSignal, logs: str) -> None:
    """Wait for all engines; one that cannot start, or a stop, ends the wait."""
    waiting = {asyncio.ensure_future(engine.ready()) for engine in engines}
    while waiting:
        done, waiting = await asyncio.wait(waiting, timeout=POLL_S)
        for one in done:
            try:
                one.result()
            except ReplicaDown as error:
                raise RefusedRun(f"the engine of a model did not start ({error}); see {logs}") from None
        stop.check()
