"""A search worker: a plain async actor with a sliding window of open searches."""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.exceptions import RayActorError

from mics_ray.assemble.case_search import PicturedCase, failed_result, first_error, load_pictures, run_case
from mics_ray.assemble.locations import JUDGE, locate_images
from mics_ray.assemble.panel import PanelBuilder, build_strategy
from mics_ray.config.schema import Config
from mics_ray.core.types import Case, Usage
from mics_ray.io.cases import Rejection
from mics_ray.io.dealt_records import DealtSpan
from mics_ray.io.rows import Stamp, rejected_row, result_row
from mics_ray.io.scan import PlacedRecord
from mics_ray.jobs.collector import spare_collector
from mics_ray.jobs.row_writer import Row
from mics_ray.jobs.window import Window
from mics_ray.models.participation import Attendance, Participation
from mics_ray.models.roles import UsageMeter
from mics_ray.models.types import Refused
from mics_ray.runtime.driver.model_clients import ActorHandles, ModelClients
from mics_ray.runtime.monitor import metrics
from mics_ray.runtime.monitor.latency import Buckets, TimedModel
from mics_ray.runtime.monitor.logs import log_into_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker seen from the driver; ``refused`` and ``write_error`` say why it stopped by itself.

    ``searching``: open searches; ``unfinished``: records that were begun and have no row yet, these among them;
    ``queued``: requests without an answer yet, by entry; ``latencies``: calls by model and how long they took;
    ``attendance``: by model, its calls that were answered and lost.
    """

    searching: int
    unfinished: int
    usage: Mapping[str, Usage]
    refused: Refused | None
    write_error: str | None
    queued: Mapping[str, int] = field(default_factory=dict)
    latencies: Mapping[str, Buckets] = field(default_factory=dict)
    attendance: Mapping[str, Participation] = field(default_factory=dict)


class SearchWorker:
    """Searches the cases of its spans, ``window`` at a time, and sends each to the writer as exactly one row."""

    def __init__(self, number: int, config: Config, stamp: Stamp, window: int, log_folder: str) -> None:
        spare_collector()
        log_into_folder(Path(log_folder), f"worker-{number}")
        self._number, self._config, self._stamp = number, config, stamp
        self._root = locate_images(config)
        self._strategy = build_strategy(config.search, tuple(config.mentors))
        self._models = ModelClients(config)
        self._writer: Any = None
        self._window = Window(window, self._build_row, self._commit_row)
        self._spans: dict[int, set[asyncio.Task[None]]] = {}
        self._attendance = Attendance()
        self._meters: dict[str, UsageMeter] = {}
        self._usage: dict[str, Usage] = {}
        self._latencies: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._metrics = metrics.RunMetrics(Path(config.run.dir).name, self._set_gauges).start()

    async def open_span(self, handles: ActorHandles, number: int, span: DealtSpan) -> bool:
        """Begin to search a span, record by record as the window has room; whether all of it was begun.

        It is not after :meth:`stop`, a refusing provider or a full disk. The handles come here and not to the
        constructor: Ray could not restart an actor whose arguments it lost.
        """
        self._models.connect(handles)
        self._writer = handles.writer
        tasks = self._spans[number] = set()
        for record in span.records:
            if (task := await self._window.begin_record(record.unpack())) is None:
                break
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        return not self._window.ended

    async def finish_span(self, number: int) -> bool:
        """Wait for the searches of a span that was opened; returns whether each of its records has its row."""
        if tasks := self._spans.pop(number):
            await asyncio.wait(set(tasks))
        return not self._window.ended

    async def stop(self) -> None:
        """Start no further search and cancel the open ones; their replies are in the cache."""
        self._window.end()

    async def report_state(self) -> WorkerState:
        """Where the worker stands; ``usage`` counts open searches too."""
        usage = dict(self._usage)
        for meter in self._meters.values():
            _add_usage(usage, meter.usage)
        error = self._window.error
        refused = error if isinstance(error, Refused) else None
        return WorkerState(
            searching=len(self._meters),
            unfinished=self._window.running,
            usage=usage,
            refused=refused,
            write_error=str(error) if error is not None and refused is None else None,
            queued=self._models.count_queued(),
            latencies=self._latencies,
            attendance=self._attendance.models,
        )

    async def update_replicas(self, replicas: Mapping[str, list[Any]]) -> None:
        """Send calls to these replicas from here on; returns when those left out have answered everything."""
        await self._models.update_replicas(replicas)

    async def _build_row(self, placed: PlacedRecord) -> Row:
        """One record to its one row; an error of ours fails that case and no other. Raises :class:`Refused`."""
        place, record = placed
        try:
            if isinstance(record, Rejection):
                return rejected_row(record, self._stamp)
            pictured = await asyncio.to_thread(load_pictures, self._config, self._root, place, record)
            if isinstance(pictured, Rejection):
                return rejected_row(pictured, self._stamp)
            return await self._search_pictured(pictured)
        except BaseExceptionGroup as group:
            # A refusing provider would refuse every other case, too, so it ends the window.
            if (refusals := group.subgroup(Refused)) is not None:
                raise first_error(refusals) from None
            return self._failed_row(record, group)
        except Exception as error:
            return self._failed_row(record, error)

    async def _search_pictured(self, pictured: PicturedCase) -> Row:
        case, started = pictured.case, time.monotonic()
        meter = self._meters[case.id] = UsageMeter()
        models = {
            name: TimedModel(model, self._latencies[name]) for name, model in self._models.bind_case(case.id).items()
        }
        panel = PanelBuilder(self._config, models).build_panel(pictured.mentor, pictured.intern, meter)
        try:
            result = await run_case(self._config, self._strategy, case, self._attendance.watch_panel(panel, JUDGE))
        finally:
            _add_usage(self._usage, self._meters.pop(case.id).usage)
        return result_row(result, meter.usage, time.monotonic() - started, self._stamp)

    def _failed_row(self, record: Case | Rejection, error: BaseException) -> Row:
        failed = failed_result(record, error, self._stamp.seed)
        return result_row(failed, {}, 0.0, self._stamp)

    async def _commit_row(self, row: Row) -> None:
        """Send the row to the writer; one that died is restarted by Ray and refuses what it had committed.

        Raises ``OSError`` when nothing can be written.
        """
        ended = time.monotonic()
        while True:
            try:
                await self._writer.add_row.remote(row)
                self._metrics.observe_value(metrics.COMMIT_LAG, time.monotonic() - ended)
                return
            except RayActorError:
                await asyncio.sleep(0.5)  # Ray turns calls away until the restart is done

    def _set_gauges(self, meters: metrics.RunMetrics) -> None:
        """Set the gauges that are read once a second."""
        meters.set_level(metrics.OPEN, len(self._meters), str(self._number))
        for name, queued in self._models.count_queued().items():
            meters.set_level(metrics.INTERN_QUEUE, queued, name)


def _add_usage(total: dict[str, Usage], more: Mapping[str, Usage]) -> None:
    for name, used in more.items():
        total[name] = total.get(name, Usage()) + used
