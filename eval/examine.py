"""The part of an evaluation that runs on Ray: the model's replicas, the judge's endpoint, the window of items."""

import asyncio
import time
from typing import Any

from eval.answer import Examiner, build_trials
from eval.answer_writer import AnswerWriter, Score
from eval.bert_score import bert_scores
from eval.prepare import Work
from eval.progress import progress_line
from eval.rows import ANSWERS
from mics_ray.assemble.locations import list_models
from mics_ray.errors import EXIT_OK
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs.job_end import ENDS, JobEnd, describe_end
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.jobs.window import make_rows
from mics_ray.runtime.driver.model_clients import DRAIN_S, ActorHandles, ModelClients, StartReplicas, start_models
from mics_ray.runtime.monitor.progress import Progress
from mics_ray.runtime.serving.engine_start import await_engines, try_engines
from mics_ray.runtime.serving.fetching import fetch_models
from mics_ray.runtime.serving.model_actors import start_replicas


def answer_pending(work: Work, progress: Progress, replicas: StartReplicas = start_replicas) -> JobEnd:
    """Answer every pending item, in the Ray that this process is connected to; ``replicas`` gives their handles.

    Raises :class:`RefusedRun` when the cluster cannot hold the models or an engine does not start.
    """
    stop = StopSignal()
    with stop.handle_signals():
        try:
            return asyncio.run(_answer_on_cluster(work, progress, replicas, stop))
        finally:
            progress.close()


async def _answer_on_cluster(work: Work, progress: Progress, replicas: StartReplicas, stop: StopSignal) -> JobEnd:
    began = time.monotonic()
    cache, logs = str(work.folder.cache.absolute()), str(work.folder.logs.absolute())
    try:
        # In a thread, beside which this loop stays open for signals.
        shared, say = str(work.folder.root), progress.show_phase
        config = await asyncio.to_thread(fetch_models, work.config, shared, stop.raise_if_asked, say)
    except ENDS as error:
        return describe_end(error, list_models(work.config), time.monotonic() - began)
    actors = start_models(config, cache, logs, replicas, proven=work.proven)
    answers = AnswerWriter(ShardStore(work.folder.results, ANSWERS), _choose_scorer(work))
    try:
        progress.show_phase(f"loading {', '.join(actors.replicas) or 'no engine'}")
        await asyncio.to_thread(await_engines, actors.replicas, stop.raise_if_asked, str(work.folder.logs))
        trials = await build_trials(work)
        await asyncio.to_thread(try_engines, trials, actors.replicas, stop.raise_if_asked)
        progress.show_phase(f"asking {len(work.pending)} items")
        began = time.monotonic()
        await _answer_items(work, actors, answers, progress, stop)
        return JobEnd(EXIT_OK, "", time.monotonic() - began)
    except ENDS as error:
        return describe_end(error, list_models(work.config), time.monotonic() - began)
    finally:
        await _drain_endpoints(actors)


async def _answer_items(
    work: Work, actors: ActorHandles, answers: AnswerWriter, progress: Progress, stop: StopSignal
) -> None:
    began, before = time.monotonic(), work.total - len(work.pending)

    def show_progress(running: int) -> None:
        text = progress_line(work.total, before, answers.verdicts, running, time.monotonic() - began)
        progress.show_line(before + sum(answers.verdicts.values()), work.total, text)

    models = ModelClients(work.config)
    models.connect(actors)
    examiner = Examiner(work, models.bind_case)
    await make_rows(work.pending, examiner.answer_item, answers.rows, work.job.window, stop, show_progress)


def _choose_scorer(work: Work) -> Score | None:
    """BERTScore with the model that is configured."""
    model, layers = work.job.eval.bert_score_model, work.job.eval.bert_score_layers
    return None if model is None else lambda candidates, references: bert_scores(candidates, references, model, layers)


async def _drain_endpoints(actors: ActorHandles) -> None:
    """Wait until paid calls in flight are answered and stored, :data:`DRAIN_S` at most."""
    ends = [asyncio.ensure_future(_await_quietly(actor.drain.remote(DRAIN_S))) for actor in actors.endpoints.values()]
    if ends:
        await asyncio.wait(ends, timeout=DRAIN_S + 5)


async def _await_quietly(reference: Any) -> None:
    """Await what may fail when all is over anyway."""
    await asyncio.gather(_await_reference(reference), return_exceptions=True)


async def _await_reference(reference: Any) -> Any:
    return await reference
