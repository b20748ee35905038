"""PMC-VQA (RadGenome/PMC-VQA): figures of papers, four options, pictures in images.zip. test_clean: 2,000 items."""

from collections.abc import Iterator

from eval.benchmarks.base import Source
from eval.benchmarks.questions import without_letter, without_placeholders
from eval.types import Item, Kind

_LETTERS = "ABCD"


def read_pmc_vqa(source: Source) -> Iterator[Item]:
    """Choices of four. Records have no ids: an item's id is its number. One figure is one cluster."""
    records = list(source.read_table(source.config.split))
    names = [record.required_text("Figure_path") for record in records]
    paths = source.locate_pictures(names, ("images", "figures"), "images.zip")
    for number, (record, name) in enumerate(zip(records, names, strict=True)):
        # The files of this set differ in the column's name.
        answer = record.required_text("Answer_label", "Answer").strip(" .").upper()
        if answer not in _LETTERS or len(answer) != 1:
            raise record.make_refusal("'Answer_label' is none of A, B, C, D")
        yield Item(
            id=str(number),
            kind=Kind.CHOICE,
            question=without_placeholders(record.required_text("Question")),
            answer=answer,
            options=tuple(without_letter(record.required_text(f"Choice {letter}"), letter) for letter in _LETTERS),
            images=(paths[name],),
            cluster=name,
        )
