"""PMC-VQA (RadGenome/PMC-VQA): figures of papers, four options. test_clean: 2,000 items, pictures in images.zip; test_2
(version 2, figures cut apart): 33,430, in images_2.zip."""

from collections.abc import Iterator

from eval.benchmarks.base import Source
from eval.benchmarks.questions import without_letter
from eval.benchmarks.record import BenchmarkRecord
from eval.types import Item, Kind
from mics_ray.core.placeholders import without_placeholders

FOLDERS = ("images", "figures")
_LETTERS = "ABCD"


def read_pmc_vqa(source: Source) -> Iterator[Item]:
    """Choices of four. Records have no ids: an item's id is its number. One figure is one cluster."""
    records = list(source.read_table(source.config.split))
    names = [record.required_text("Figure_path") for record in records]
    second = source.config.split.endswith("_2")
    folders, archive = (("images_2", "figures", "images"), "images_2.zip") if second else (FOLDERS, "images.zip")
    paths = source.locate_pictures(names, folders, archive)
    for number, (record, name) in enumerate(zip(records, names, strict=True)):
        options = tuple(without_letter(record.required_text(f"Choice {letter}"), letter) for letter in _LETTERS)
        yield Item(
            id=str(number),
            kind=Kind.CHOICE,
            question=without_placeholders(record.required_text("Question")),
            answer=_find_label(record, options),
            options=options,
            images=(paths[name],),
            cluster=name,
        )


def _find_label(record: BenchmarkRecord, options: tuple[str, ...]) -> str:
    """The letter of the gold option. The files of this set give it as ``Answer_label`` or ``Answer``, or the option's
    text as ``Answer``."""
    told = record.required_text("Answer_label", "Answer")
    letter = told.strip(" .").upper()
    found = [one for one, option in zip(_LETTERS, options, strict=True) if without_letter(told, one) == option]
    if len(letter) == 1 and letter in _LETTERS:
        return letter
    if len(found) == 1:
        return found[0]
    raise record.make_refusal("'Answer_label' is none of A, B, C, D, and no option's text")
