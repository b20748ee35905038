"""VQA-RAD (flaviagiammarino/vqa-rad): radiology pictures; image, question, answer. Test: 451 items."""

from collections.abc import Iterator

from eval.benchmarks.base import Source
from eval.benchmarks.questions import without_placeholders, yes_no_kind
from eval.types import Item


def read_vqa_rad(source: Source) -> Iterator[Item]:
    """Yes/no answers are closed, the rest open. Records have no ids: an item's id is its number; equal pictures are one
    cluster."""
    for number, record in enumerate(source.read_table(source.config.split)):
        answer = record.required_text("answer")
        picture = source.store_embedded_picture(record, "image")
        question = without_placeholders(record.required_text("question"))
        yield Item(str(number), yes_no_kind(answer), question, answer, images=(picture,), cluster=picture)
