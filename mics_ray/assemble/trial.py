"""The requests that each engine answers before a run: the largest cases, as their searches will ask."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice

from mics_ray.assemble.case_search import PicturedCase, load_pictures
from mics_ray.assemble.locations import list_endpoints, list_served, locate_images
from mics_ray.assemble.panel import PanelBuilder
from mics_ray.config.context import read_context
from mics_ray.config.schema import Config
from mics_ray.core.context import ask_question, show_context
from mics_ray.core.display import make_one_line
from mics_ray.core.frames import label_frames, split_address
from mics_ray.core.types import Case, Failure, LostCall
from mics_ray.io.cases import RecordPlace
from mics_ray.io.scan import PlacedRecord
from mics_ray.models.roles import UsageMeter
from mics_ray.models.types import Pictures, Reply, Request

LARGEST_AMONG = 100_000
"""Records among which the largest are looked for; the others are longer than these at the price of a lost call."""
EACH = 2
"""Cases with the most pictures, and with the longest text: one of them may be odd in itself."""
NEW_TOKENS = 4
"""Of a reply to a trial request."""
SHOWN = 80
"""Characters of a case's id."""
_Found = tuple[RecordPlace, Case]
_Sized = tuple[int, int, _Found]


@dataclass(frozen=True, slots=True)
class Trial:
    """A request to ``entry`` as the search of a case begins with it."""

    entry: str
    case_id: str
    request: Request
    pictures: Pictures | None

    def describe_case(self) -> str:
        """Which case, and how many pictures it shows."""
        count = len(self.pictures.files) if self.pictures else 0
        return f"case {make_one_line(self.case_id)[:SHOWN]}, {count} picture{'' if count == 1 else 's'}"


def build_trials(config: Config, records: Iterable[PlacedRecord]) -> list[Trial]:
    """Trial requests of every model that is served here, from the largest cases among ``records``.

    Raises :class:`mics_ray.io.cases.InputError`.
    """
    if not list_served(config):
        return []
    root, trials = locate_images(config), list[Trial]()
    for place, case in choose_largest(config, islice(records, LARGEST_AMONG)):
        pictured = load_pictures(config, root, place, case)
        if isinstance(pictured, PicturedCase):  # what cannot be shown becomes a row that says so
            trials += asyncio.run(_record_requests(config, pictured))
    return trials


def choose_largest(config: Config, records: Iterable[PlacedRecord]) -> list[_Found]:
    """The cases with the most pictures and those with the longest text, :data:`EACH` of each."""
    context = read_context(config.data.context)
    largest, longest = list[_Sized](), list[_Sized]()
    for place, case in records:
        if isinstance(case, Case):
            pictures, text = _count_named(case), len(ask_question(show_context(case, context)))
            _keep_largest(largest, (pictures, text, (place, case)))
            _keep_largest(longest, (text, pictures, (place, case)))
    by_id = {found[1].id: found for *_, found in [*largest, *longest]}
    return list(by_id.values())


def _count_named(case: Case) -> int:
    """The pictures that a case's paths name: a path may name many frames of its file."""
    named = (split_address(path)[1] for path in case.images)
    return sum(len(frames.numbers) if frames else 1 for frames in named)


def _keep_largest(kept: list[_Sized], new: _Sized) -> None:
    if len(kept) < EACH or new[:2] > kept[-1][:2]:
        kept.append(new)
        kept.sort(key=lambda sized: sized[:2], reverse=True)
        del kept[EACH:]


@dataclass(slots=True)
class RecordingModel:
    """A model that keeps what it is asked and answers nothing."""

    asked: list[tuple[Request, Pictures | None]]

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """Raises :class:`LostCall`."""
        self.asked.append((request, pictures))
        raise LostCall(Failure("recorded", "a trial request"))


async def _record_requests(config: Config, pictured: PicturedCase) -> Iterator[Trial]:
    """What the roles ask of the models that are served here, by the roles' own code."""
    case = label_frames(show_context(pictured.case, read_context(config.data.context)))
    asked: list[tuple[Request, Pictures | None]] = []
    models = dict.fromkeys([*list_served(config), *list_endpoints(config)], RecordingModel(asked))
    panel = PanelBuilder(config, models).build_panel(pictured.mentor, pictured.intern, UsageMeter())
    for mentor in panel.mentors.values():
        with suppress(LostCall):
            await mentor.propose(case, (), config.seed)
    for intern in panel.interns.values():
        with suppress(LostCall):
            await intern.finish(case, (), panel.temperatures[0], config.seed)
    with suppress(LostCall):
        await panel.judge.compare(case, case.answer, config.seed)
    served = list_served(config)
    return (make_trial(case.id, *one) for one in asked if one[0].entry in served)


def make_trial(case_id: str, request: Request, pictures: Pictures | None) -> Trial:
    """A request as it was recorded, for a few words only."""
    return Trial(request.entry, case_id, replace(request, max_tokens=NEW_TOKENS), pictures)
