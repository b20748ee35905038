"""SLAKE (BoKelvin/SLAKE): radiology, English and Chinese, pictures in imgs.zip. English test: 1,061 items."""

from collections.abc import Iterator

from eval.benchmarks.base import Source
from eval.types import Item, Kind
from mics_ray.core.placeholders import without_placeholders

_KINDS = {"CLOSED": Kind.CLOSED, "OPEN": Kind.OPEN}


def read_slake(source: Source) -> Iterator[Item]:
    """The English items; closed and open as ``answer_type`` says. One picture is one cluster."""
    records = [record for record in source.read_table(source.config.split) if record.required_text("q_lang") == "en"]
    # Before any item is made: one pass through the archive unpacks all pictures.
    names = [record.required_text("img_name") for record in records]
    paths = source.locate_pictures(names, ("imgs",), "imgs.zip")
    for record, name in zip(records, names, strict=True):
        kind = _KINDS.get(record.required_text("answer_type").upper())
        if kind is None:
            raise record.make_refusal("'answer_type' is neither OPEN nor CLOSED")
        answer, *others = record.gold_answers()
        yield Item(
            id=record.required_text("qid"),
            kind=kind,
            question=without_placeholders(record.required_text("question")),
            answer=answer,
            images=(paths[name],),
            cluster=name,
            modality=record.optional_text("modality"),
            topic=record.optional_text("content_type"),
            others=tuple(others),
        )
