"""One item to its one row: the model answers, a rule or the judge checks, interns finish from its chain."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import nlargest
from typing import Any

from eval.chains import score_own_chain
from eval.prepare import MODEL, Question, Work
from eval.rows import answer_row
from eval.scoring.reading import Reading, read_reply
from eval.scoring.rules import check_by_rule, make_judge_case, question_text
from eval.types import Answered, ChainState, OwnChain
from mics_ray.assemble.locations import JUDGE, list_models, list_served
from mics_ray.assemble.panel import PanelBuilder, build_intern_template
from mics_ray.assemble.trial import EACH, RecordingModel, Trial, make_trial
from mics_ray.core.frames import label_frames
from mics_ray.core.ports import Judge
from mics_ray.core.seeds import derive_seed
from mics_ray.core.types import Case, Failure, LostCall, Usage, Verdict
from mics_ray.models.engine.conversation import PLACE, mark_places
from mics_ray.models.participation import Attendance
from mics_ray.models.pictures.reading import PictureError, load_case_pictures
from mics_ray.models.pictures.windows import read_view
from mics_ray.models.prompts import fill_intern_prompt
from mics_ray.models.roles import BoundModel, UsageMeter, describe_cut, read_said
from mics_ray.models.types import Model, Pictures, Refused, Reply, Request, decode_options, encode_options

log = logging.getLogger("mics_ray.eval")  # the logs of a run hold what is below mics_ray

ModelsFor = Callable[[str], Mapping[str, Model]]
"""From an item's key to the models by name, so that its calls keep to one replica."""


@dataclass(frozen=True)
class Examiner:
    """Answers items of one evaluation. ``models`` has ``model``, ``judge`` and, for the MICS-Score, the interns.

    ``attendance`` counts what they answered; a model that loses all of its first calls ends the evaluation.
    """

    work: Work
    models: ModelsFor
    attendance: Attendance = field(default_factory=Attendance)

    async def answer_item(self, question: Question) -> dict[str, Any]:
        """The row of an item; a lost call leaves its verdict unknown. Raises :class:`Refused` only."""
        started, meter = time.monotonic(), UsageMeter()
        item = question.item
        case, prompt, inline = self._write_prompt(question, item.images)
        own_chain = OwnChain(ChainState.LOST) if self.work.job.eval.mics_score else None
        try:
            settings = self.work.job.pictures
            pictures, names = await asyncio.to_thread(
                load_case_pictures, question.root, item.images, settings.intern_max_side, read_view(settings)
            )
            case, prompt, inline = self._write_prompt(question, names)
            models = self.models(question.id)
            panel = PanelBuilder(self.work.config, models).build_panel(None, pictures, meter)
            panel = self.attendance.watch_panel(panel, JUDGE)
            request = self._make_request(question, prompt, pictures, inline)
            model = BoundModel(models[MODEL], request, pictures, self.work.job.prompts, meter)
            ask = self._count_calls(model)
            answered, said = await _ask_and_check(question, case, request, ask, panel.judge)
            # Without a reply there is no form to judge: such a chain stays lost.
            if own_chain and answered.kept_form is not None:
                interns = {name: intern for name, intern in panel.interns.items() if name != MODEL}
                own_chain = await score_own_chain(item, case, said, replace(panel, interns=interns), request.seed)
        except PictureError as error:
            answered = Answered(item, question.benchmark, failure=Failure("pictures", str(error)))
        except BaseExceptionGroup as group:
            answered = self._failed_answer(question, group)
        except Refused:
            raise
        except Exception as error:  # an error of ours fails this item and no other
            answered = self._failed_answer(question, error)
        seconds, used = time.monotonic() - started, meter.usage.get(MODEL, Usage())
        return answer_row(
            answered, prompt.replace(PLACE, "<image>"), used, seconds, self.work.stamp, own_chain=own_chain
        )

    def _write_prompt(self, question: Question, images: tuple[str, ...]) -> tuple[Case, str, bool]:
        """The case of an item whose pictures are ``images``, what is asked, whether pictures stand inside of it."""
        item = question.item
        case = label_frames(Case(question.id, question_text(item), item.answer, images, context=item.context))
        shown, inline = case, False
        if item.written:
            text, inline = mark_places(item.written, len(images))
            shown = replace(case, question=text, context="")
        return case, fill_intern_prompt(self.work.job.prompts, shown, ()), inline

    def _count_calls(self, model: BoundModel) -> Callable[[Request], Awaitable[Reply]]:
        return lambda request: self.attendance.count_call(MODEL, model.request_reply, request)

    def _make_request(self, question: Question, prompt: str, pictures: Pictures | None, inline: bool) -> Request:
        """What the model is asked. The digest of the configuration is in the address of its kept reply: a model that
        was trained anew in the same place is asked anew."""
        template = build_intern_template(self.work.config, MODEL)
        return replace(
            template,
            options=encode_options(**decode_options(template.options), inline=inline),
            revision=self.work.stamp.config_digest,
            text=prompt,
            pictures=pictures.digest if pictures else "",
            temperature=self.work.job.eval.temperature,
            seed=self._item_seed(question),
        )

    def _item_seed(self, question: Question) -> int:
        return derive_seed(self.work.job.seed, question.benchmark, question.item.id)

    def _failed_answer(self, question: Question, error: BaseException) -> Answered:
        """An unforeseen error as a lost call; a refusing provider among several errors is raised."""
        leaf = first_error(error)
        if isinstance(leaf, Refused):
            raise leaf
        # The message of an unforeseen error may quote an item, so only its type is written down.
        log.error("item %s failed: %s", question.id, type(leaf).__name__)
        failure = Failure("internal", f"{type(leaf).__name__}, see logs/")
        return Answered(question.item, question.benchmark, failure=failure)


async def build_trials(work: Work) -> list[Trial]:
    """What the model is asked of the items with the most pictures and the longest questions, if it is served here."""
    if MODEL not in list_served(work.config):
        return []
    trials = []
    for question in _choose_largest(work.pending):
        asked: list[tuple[Request, Pictures | None]] = []
        await Examiner(work, _record_into(work, asked)).answer_item(question)
        trials += [make_trial(question.id, *one) for one in asked if one[0].entry == MODEL]
    return trials


def _record_into(work: Work, asked: list[tuple[Request, Pictures | None]]) -> ModelsFor:
    models = dict.fromkeys(list_models(work.config), RecordingModel(asked))
    return lambda _: models


def _choose_largest(questions: Sequence[Question]) -> list[Question]:
    sizes = [(len(one.item.images), len(question_text(one.item)) + len(one.item.context)) for one in questions]
    places = range(len(questions))
    widest = nlargest(EACH, places, key=lambda place: sizes[place])
    longest = nlargest(EACH, places, key=lambda place: sizes[place][::-1])
    return [questions[place] for place in dict.fromkeys([*widest, *longest])]


async def _ask_and_check(
    question: Question, case: Case, request: Request, ask: Callable[[Request], Awaitable[Reply]], judge: Judge
) -> tuple[Answered, str]:
    """The model's answer to ``request``, with its verdict by rule or by the judge.

    Beside it what it said without its thoughts, "" where that was cut: a cut text has no answer.
    """
    item = question.item
    answered = Answered(item, question.benchmark)
    try:
        reply = await ask(request)
    except LostCall as lost:
        return replace(answered, output=lost.text, failure=lost.failure), ""
    said = read_said(reply)
    if said is None:
        cut = replace(answered, output=reply.text, lenient=Verdict.WRONG, kept_form=False)
        return replace(cut, failure=describe_cut(reply)), ""
    found = read_reply(item, said)
    answered = replace(answered, output=reply.text, parsed=found.answer, kept_form=found.kept_form, unread=found.unread)
    return await _check(question, case, answered, found, request.seed, judge), said


async def _check(
    question: Question, case: Case, answered: Answered, found: Reading, seed: int, judge: Judge
) -> Answered:
    """The verdict on what was read; what no rule decides the judge does, with the question before it."""
    verdict = check_by_rule(question.item, found)
    if verdict is not None:
        return replace(answered, lenient=verdict)
    try:
        judged = await judge.compare(make_judge_case(question.item, case), found.answer, seed)
    except LostCall as lost:
        return replace(answered, judge_reply=lost.text, failure=lost.failure)
    return replace(answered, lenient=judged.verdict, judge_reply=judged.reply)


def first_error(error: BaseException) -> BaseException:
    """The error itself; of a group a refusal before anything else."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    return first_error((error.subgroup(Refused) or error).exceptions[0])
