"""One case again, from the record: its row, or the place where the record ends."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from mics_ray.assemble.case_search import failed_result, load_pictures, run_case
from mics_ray.assemble.locations import JUDGE, locate_images
from mics_ray.assemble.panel import PanelBuilder, build_strategy, find_room
from mics_ray.config.schema import Config
from mics_ray.core.ports import Complete, Move, Strategy
from mics_ray.core.tree import SearchTree
from mics_ray.core.types import Case
from mics_ray.io.cases import RecordPlace, Rejection, Span, read_places
from mics_ray.io.rows import Stamp, rejected_row, result_row
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs.row_writer import CommitPolicy, Row, RowWriter
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.jobs.window import make_rows
from mics_ray.models.replies.recorded_replies import RecordedReplies, RecordedReplyDamaged, ReplyNotRecorded
from mics_ray.models.roles import UsageMeter
from mics_ray.replay.lost_calls import LostCalls, RecordedModel, lose_again

OPEN_CASES = 32
"""Cases at a time: their pictures are decoded side by side and held in memory."""
POLICY = CommitPolicy(rows_per_shard=256)
"""Recorded replies come fast: with the shards of a run there would be many a second."""


@dataclass(frozen=True, slots=True)
class RecordEnd:
    """The record has no reply of ``model`` to what the case asks in this round (from 1) of this attempt (from 1).

    ``damaged``: it has one, which is not what was stored.
    """

    case: str
    attempt: int
    round: int
    model: str
    damaged: bool = False


@dataclass(slots=True)
class _Watched:
    """A strategy that remembers how far its search came."""

    of: Strategy
    rounds: dict[int, int] = field(default_factory=dict)

    def next_move(self, tree: SearchTree) -> Move:
        """See :class:`mics_ray.core.ports.Strategy`."""
        move = self.of.next_move(tree)
        # By the seed, which is another one in each attempt: its place among the keys is the attempt's number.
        self.rounds[tree.seed] = tree.rounds + (not isinstance(move, Complete))
        return move


class Replayer:
    """Searches cases on recorded replies. ``lost`` are the calls that the run lost, by case id."""

    def __init__(self, config: Config, stamp: Stamp, record: RecordedReplies, lost: Mapping[str, LostCalls]) -> None:
        self._config, self._stamp, self._lost = config, stamp, lost
        self._root = locate_images(config)
        self._strategy = build_strategy(config.search, tuple(config.mentors))
        entries = {**config.mentors, **config.interns, JUDGE: config.judge}
        self._panels = PanelBuilder(
            config, {name: RecordedModel(record, find_room(entry)) for name, entry in entries.items()}
        )

    async def replay_cases(
        self, spans: Iterable[Span], store: ShardStore, stop: StopSignal, count_case: Callable[[], None]
    ) -> list[RecordEnd]:
        """Commit a row for every pending case that the record reaches; the others are returned in the input's order.

        ``count_case`` is called when a case is through. Stopped early, it keeps the rows that it has. Raises
        :class:`mics_ray.errors.Stopped`, :class:`mics_ray.io.cases.InputError`, ``OSError``.
        """
        ends: dict[int, RecordEnd] = {}

        async def make_row(numbered: tuple[int, tuple[RecordPlace, Case | Rejection]]) -> Row | None:
            number, (place, record) = numbered
            found = await self._replay_case(place, record)
            count_case()
            if isinstance(found, RecordEnd):
                ends[number] = found
                return None
            return found

        # Numbered, so that the ends come out in the input's order whichever case is through first.
        records = enumerate(pair for span in spans for pair in read_places(span))
        await make_rows(records, make_row, RowWriter(store, POLICY), OPEN_CASES, stop)
        return [ends[number] for number in sorted(ends)]

    async def _replay_case(self, place: RecordPlace, record: Case | Rejection) -> Row | RecordEnd:
        """An error of ours fails its case and no other, as in the run."""
        if isinstance(record, Rejection):
            return rejected_row(record, self._stamp)
        try:
            # In a thread: decoding would hold up the other open cases.
            pictured = await asyncio.to_thread(load_pictures, self._config, self._root, place, record)
            if isinstance(pictured, Rejection):
                return rejected_row(pictured, self._stamp)
            meter, watched, started = UsageMeter(), _Watched(self._strategy), time.monotonic()
            panel = lose_again(
                self._panels.build_panel(pictured.mentor, pictured.intern, meter), self._lost.get(record.id, {})
            )
            result = await run_case(self._config, watched, pictured.case, panel)
            return result_row(result, meter.usage, time.monotonic() - started, self._stamp)
        except Exception as error:
            if missing := _find_missing_reply(error):
                attempt, last = len(watched.rounds), list(watched.rounds.values())[-1]
                return RecordEnd(record.id, attempt, last, missing.entry, isinstance(missing, RecordedReplyDamaged))
            return result_row(failed_result(record, error, self._stamp.seed), {}, 0.0, self._stamp)


def _find_missing_reply(error: Exception) -> ReplyNotRecorded | None:
    """The request without a reply that ended a search, if one did; a damaged one before others."""
    if isinstance(error, ReplyNotRecorded):
        return error
    # A task group gathers what its calls raise; searches nest groups (candidates, votes).
    inner = error.exceptions if isinstance(error, ExceptionGroup) else ()
    found = [one for one in map(_find_missing_reply, inner) if one is not None]
    return next((one for one in found if isinstance(one, RecordedReplyDamaged)), found[0] if found else None)
