"""SLAKE (BoKelvin/SLAKE): radiology, English and Chinese, pictures in imgs.zip. English test: 1,061 items."""

from collections.abc import Iterator

from eval.benchmarks.base import Source
from eval.benchmarks.questions import without_placeholders
from eval.types import Item, Kind

_KINDS = {"CLOSED": Kind.CLOSED, "OPEN": Kind.OPEN}


def read(source: Source) -> Iterator[Item]:
    """The English items; closed and open as ``answer_type`` says. One picture is one cluster."""
    records = [record for record in source.table(source.config.split) if record.text("q_lang") == "en"]
    names = [record.text("img_name") for record in records]
    paths = source.beside(names, ("imgs",), "imgs.zip")
    for record, name in zip(records, names, strict=True):
        kind = _KINDS.get(record.text("answer_type").upper())
        if kind is None:
            raise record.refusal("'answer_type' is neither OPEN nor CLOSED")
        yield Item(
            id=record.text("qid"),
            kind=kind,
            question=without_placeholders(record.text("question")),
            answer=record.text("answer"),
            images=(paths[name],),
            cluster=name,
            modality=record.text_or("modality"),
            topic=record.text_or("content_type"),
        )
