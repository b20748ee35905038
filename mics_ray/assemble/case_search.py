"""One case from its record to its result: what a search worker and a replay have in common."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from mics_ray.assemble.case_pictures import CasePictures
from mics_ray.config.context import read_context
from mics_ray.config.schema import Config
from mics_ray.core.context import show_context
from mics_ray.core.frames import label_frames
from mics_ray.core.leaks.judged import check_steps
from mics_ray.core.ports import Panel, Strategy
from mics_ray.core.search import SearchResult, search_case
from mics_ray.core.tree import SearchTree
from mics_ray.core.types import Case, Outcome, Quality
from mics_ray.io.cases import RecordPlace, Rejection
from mics_ray.models.pictures.reading import PictureError, load_for_roles
from mics_ray.models.pictures.windows import read_view
from mics_ray.models.types import Pictures

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PicturedCase:
    """A case whose ``images`` name each picture that is shown, and these as mentors and interns see them."""

    case: Case
    mentor: Pictures | None
    intern: Pictures | None


def load_pictures(config: Config, root: Path | str, place: RecordPlace, case: Case) -> PicturedCase | Rejection:
    """The case with its pictures under ``root``, or why the record cannot be used."""
    sides = {"mentor": config.pictures.mentor_max_side, "intern": config.pictures.intern_max_side}
    try:
        seen = load_for_roles(CasePictures(root), case.images, sides, read_view(config.pictures))
        return PicturedCase(replace(case, images=seen.names), seen.by_role["mentor"], seen.by_role["intern"])
    except PictureError as error:
        reason = f"{place}: {error}"
        return Rejection(place.position, case.id, reason, case.question, case.answer, case.images, case.others)


async def run_case(config: Config, strategy: Strategy, case: Case, panel: Panel) -> SearchResult:
    """Search one case, grade its chain as the preset says, and have its steps checked where the panel has a leak judge.

    Errors of a model arrive as an exception group.
    """
    search, case = config.search, label_frames(show_context(case, read_context(config.data.context)))
    result = await search_case(case, strategy, panel, config.seed, search.restarts)
    if panel.leak_judge is not None:
        result = replace(result, leak_checks=await check_steps(result, panel.leak_judge, config.seed))
    if not search.quality_control and result.chain is not None:
        return replace(result, quality=Quality.KEEP)
    return result


def failed_result(record: Case | Rejection, error: BaseException, seed: int) -> SearchResult:
    """What is kept of a case that an unforeseen error ended; the log says where the error was raised."""
    frames = []
    trace = first_error(error).__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    # The message of an unforeseen error may quote a case, so only its type and place are written down.
    kind = type(first_error(error)).__name__
    log.error("case %s failed: %s at %s", record.id, kind, " > ".join(frames))
    case = (
        record
        if isinstance(record, Case)
        else Case(record.id, record.question, record.answer, record.images, others=record.others)
    )
    reason = f"internal error {kind}, see logs/"
    return SearchResult(case, Outcome.FAILED, reason, Quality.ZERO, None, None, (SearchTree(case.id, seed),))


def first_error(error: BaseException) -> BaseException:
    """The first error inside a group, or the error itself."""
    return first_error(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
