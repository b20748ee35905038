"""Cases of the project's own input format: phantoms, or a hospital's held-out cases.

Those with options are choices, those whose gold answers are all yes or no are closed, the others are open.
"""

from collections.abc import Iterator
from dataclasses import replace

from eval.benchmarks.base import Source
from eval.benchmarks.questions import yes_no_kind
from eval.scoring.letters import LETTERS
from eval.types import Item, Kind
from mics_ray.core.context import show_context
from mics_ray.core.types import Case
from mics_ray.errors import RefusedRun
from mics_ray.io.cases import InputError, read_span, survey_cases
from mics_ray.io.records.choices import find_choice


def read_case_items(source: Source) -> Iterator[Item]:
    """The cases of `SPLIT.jsonl`, whose pictures are relative to its folder. One case is one cluster.

    Raises :class:`RefusedRun` for a record that generation would reject.
    """
    file = source.named_file(f"{source.config.split}.jsonl")
    try:
        for span in survey_cases(str(file)).spans:
            for found in read_span(span):
                # Refused, not skipped: an accuracy over fewer cases than the file holds would not be comparable.
                if not isinstance(found, Case):
                    raise RefusedRun(f"{source.name}: {found.reason}")
                yield _make_item(found, show_context(found, source.context).context)
    except InputError as error:
        raise RefusedRun(f"{source.name}: {error}") from None


def _make_item(case: Case, told: str) -> Item:
    item = Item(
        case.id, Kind.OPEN, case.question, case.answer, (), case.images, case.id, others=case.others, context=told
    )
    if choice := find_choice(case):
        answer, *others = (LETTERS[place] for place in choice.right)
        return replace(
            item,
            kind=Kind.CHOICE,
            question=choice.question,
            answer=answer,
            options=choice.options,
            others=tuple(others),
        )
    closed = all(yes_no_kind(gold) is Kind.CLOSED for gold in case.golds)
    return replace(item, kind=Kind.CLOSED) if closed else item
