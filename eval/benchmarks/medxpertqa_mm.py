"""MedXpertQA (TsinghuaC3I/MedXpertQA), configuration MM: expert questions, five options, pictures in images.zip.

Test: 2,000 items; ``topic`` is the set's own question type, Reasoning or Understanding.
"""

import re
from collections.abc import Iterator, Mapping

from eval.benchmarks.base import Source
from eval.benchmarks.questions import without_letter
from eval.benchmarks.record import BenchmarkRecord
from eval.types import Item, Kind
from mics_ray.core.placeholders import without_placeholders

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
    answer = _read_label(record)
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


def _read_label(record: BenchmarkRecord) -> str:
    """The letter of the gold option, which the authors' own files give as a list of one."""
    label = record.text_list("label")
    return label[0].strip() if len(label) == 1 else record.required_text("label")


def _option_texts(record: BenchmarkRecord) -> tuple[str, ...]:
    """The option texts in the order of their letters. A table pads letters that a record has not with null."""
    pairs = {letter: text for letter, text in _pair_options(record.values.get("options")) if text is not None}
    if not pairs or sorted(pairs) != list(_LETTERS[: len(pairs)]):
        raise record.make_refusal("'options' is neither a mapping of A, B, … to texts nor a list of them")
    return tuple(str(pairs[letter]) for letter in sorted(pairs))


def _pair_options(options: object) -> list[tuple[str, object]]:
    """(letter, text) of a mapping, of a list of ``{letter, content}``, or of a list of texts in order."""
    if isinstance(options, dict):
        return list(options.items())
    if not isinstance(options, list):
        return []
    if all(isinstance(one, dict) for one in options):
        return [(str(one.get("letter")), one.get("content", one.get("text"))) for one in options]
    if not all(isinstance(one, str) for one in options) or len(options) > len(_LETTERS):
        return []
    return [(letter, without_letter(one, letter)) for letter, one in zip(_LETTERS, options, strict=False)]
