"""The reference's own evaluation format, `eval_data.json`: one or several pictures, open and closed questions."""

from collections.abc import Iterator

from eval.benchmarks.base import Source
from eval.benchmarks.questions import yes_no_kind
from eval.benchmarks.record import BenchmarkRecord
from eval.types import Item, Kind
from mics_ray.core.placeholders import without_placeholders
from mics_ray.models.engine.conversation import mark_places


def read_chiron(source: Source) -> Iterator[Item]:
    """Open where ``answer_type`` is OPEN, else by the gold answer. One patient (a folder) is one cluster."""
    for record in source.read_table(source.config.split):
        images = record.text_list("img_name")
        answer, *others = record.gold_answers()
        # Without the field the judge decides: a rule for yes and no would call free text wrong.
        open_ended = record.optional_text("answer_type", "OPEN").upper() == "OPEN"
        question = record.required_text("question")
        yield Item(
            id=record.required_text("id"),
            kind=Kind.OPEN if open_ended else yes_no_kind(answer),
            question=without_placeholders(question, len(images)),
            answer=answer,
            images=images,
            cluster=images[0].rsplit("/", 2)[0] if images else record.required_text("id"),
            topic=record.optional_text("answer_type"),
            written=_check_places(record, question, len(images)) if source.config.as_written else "",
            others=tuple(others),
        )


def _check_places(record: BenchmarkRecord, question: str, pictures: int) -> str:
    """The question. Raises :class:`RefusedRun` where its places are not as many as its pictures."""
    try:
        mark_places(question, pictures)
    except ValueError as error:
        raise record.make_refusal(f"'question': {error}") from None
    return question
