"""MedXpertQA (TsinghuaC3I/MedXpertQA), configuration MM: expert questions, five options, pictures in images.zip.

Test: 2,000 items; ``topic`` is the set's own question type, Reasoning or Understanding.
"""

import re
from collections.abc import Iterator, Mapping

from eval.benchmarks.base import Source
from eval.benchmarks.questions import without_placeholders
from eval.benchmarks.record import BenchmarkRecord
from eval.types import Item, Kind

_LETTERS = "ABCDEFGHIJ"
_CHOICES = re.compile(r"\s*Answer Choices:\s*\([A-Z]\).*\Z", re.S)


def read_medxpertqa_mm(source: Source) -> Iterator[Item]:
    """Choices; items that share their first picture are one cluster."""
    records = [record for name in source.config.config for record in source.read_table(source.config.split, name)]
    names = [picture for record in records for picture in record.text_list("images")]
    paths = source.locate_pictures(names, ("images",), "images.zip")
    for record in records:
        yield _medxpertqa_item(record, paths)


def _medxpertqa_item(record: BenchmarkRecord, paths: Mapping[str, str]) -> Item:
    images = tuple(paths[name] for name in record.text_list("images"))
    options = _option_texts(record)
    answer = record.required_text("label")
    if len(answer) != 1 or answer not in _LETTERS[: len(options)]:
        raise record.make_refusal("'label' is no letter of its options")
    question = _CHOICES.sub("", record.required_text("question"))  # the card's questions repeat the options
    return Item(
        id=record.required_text("id"),
        kind=Kind.CHOICE,
        question=without_placeholders(question, len(images)),
        answer=answer,
        options=options,
        images=images,
        cluster=images[0] if images else record.required_text("id"),
        topic=record.optional_text("question_type"),
    )


def _option_texts(record: BenchmarkRecord) -> tuple[str, ...]:
    """The option texts in the order of their letters. A table pads letters that a record has not with null."""
    value = record.values.get("options")
    pairs = {letter: text for letter, text in value.items() if text is not None} if isinstance(value, dict) else {}
    if not pairs or sorted(pairs) != list(_LETTERS[: len(pairs)]):
        raise record.make_refusal("'options' is no mapping of A, B, … to texts")
    return tuple(str(pairs[letter]) for letter in sorted(pairs))
