"""A folder for the Hugging Face hub: Parquet with the pictures inside, and a data card that says what it is."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mics_ray.errors import RefusedRun
from mics_ray.private_files import make_private_folder, open_private
from train.export.samples import Sample

TRAIN, VALIDATION = SPLITS = ("train", "validation")
DATA = "data"
_ROWS_A_FILE = 1000
_ROWS_A_GROUP = 50  # so many samples' pictures are in memory at a time
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_TEXT = """# Searched reasoning chains for medical questions

{sizes}. Made by MICS on Ray, code version {code_version}, configuration {config_digest}. Licence: {license}.

## How it was made

Each question was searched by Mentor-Intern Collaborative Search (arXiv 2506.16962). In every round, mentor models, who
know the reference answer, propose a next reasoning step; small intern models, who do not, finish the reasoning from
there; a judge model compares their answers with the reference; and the step from which most interns get there joins
the chain. `score` is that share for the last chosen step, in [0, 1]; `mentors` names who wrote each chosen step.

## Models

{models}

## Counts

{counts}

## Before use

This is research data. The reasoning was written by language models that knew the answer, and no clinician has checked
it: it can be wrong where the final answer is right. Check it yourself before you train on it or publish it; check that
the licence of the source lets you pass on its pictures and texts, and that no patient can be recognised. Not for
clinical use.
"""


@contextmanager
def open_dataset(folder: Path) -> Iterator["DatasetWriter"]:
    """A data set that is being written into the empty ``folder``; its files are closed when the block ends."""
    make_private_folder(folder / DATA)
    with ExitStack() as stack:
        yield DatasetWriter(folder, stack)


class DatasetWriter:
    """Writes a folder so that ``datasets.load_dataset(str(folder))`` loads its splits; made by :func:`open_dataset`.

    A split without samples is left out. Pictures are read from the export, the parent of ``folder``.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._splits = {name: _SplitWriter(folder, name, stack.enter_context(ExitStack())) for name in SPLITS}

    def add_sample(self, split: str, sample: Sample) -> None:
        """Take a sample. Raises ``OSError``, and :class:`RefusedRun` for a picture that is gone."""
        self._splits[split].add_sample(sample)

    def finish(self, card: Mapping[str, object]) -> None:
        """Write what is left, and the data card. Raises as :meth:`add_sample`.

        ``card`` may have ``license``, ``models``, ``counts`` (mappings), ``config_digest`` and ``code_version``.
        """
        splits = {name: split for name, split in self._splits.items() if split.count}
        files = {name: split.finish() for name, split in splits.items()}
        counts = {name: split.count for name, split in splits.items()}
        header = yaml.safe_dump(_card_header(files, sum(counts.values()), card), sort_keys=False, allow_unicode=True)
        with open(self._folder / "README.md", "w", encoding="utf-8", opener=open_private) as file:
            file.write(f"---\n{header}---\n\n{_card_text(counts, card)}")


class _SplitWriter:
    """Writes one split, a file after the other; ``stack`` holds the one that is open, ``count`` counts samples."""

    def __init__(self, folder: Path, name: str, stack: ExitStack) -> None:
        self._folder, self._name, self._stack = folder, name, stack
        self._schema = _make_schema()
        self._files: list[str] = []
        self._group: list[Sample] = []
        self._writer: pq.ParquetWriter | None = None
        self.count = 0

    def add_sample(self, sample: Sample) -> None:
        self._group.append(sample)
        self.count += 1
        is_full = self.count % _ROWS_A_FILE == 0
        if is_full or len(self._group) == _ROWS_A_GROUP:
            self._write_group()
        if is_full:
            self._close_file()

    def finish(self) -> list[str]:
        """Write what is left; the names of the files, relative to the data set."""
        if self._group:
            self._write_group()
        self._close_file()
        return self._files

    def _write_group(self) -> None:
        writer = self._writer = self._writer or self._open_file()
        rows = [_dataset_row(sample, self._folder.parent) for sample in self._group]
        writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))
        self._group = []

    def _open_file(self) -> pq.ParquetWriter:
        self._files.append(f"{DATA}/{self._name}-{len(self._files):05d}.parquet")
        file = open(self._folder / self._files[-1], "wb", opener=open_private)  # noqa: SIM115 - the stack closes it
        self._stack.enter_context(file)
        return self._stack.enter_context(pq.ParquetWriter(file, self._schema))

    def _close_file(self) -> None:
        self._stack.close()
        self._writer = None


def _make_schema() -> Any:
    """The Arrow schema, which carries the features' names for `datasets` in its metadata."""
    from datasets import Features, Image, List, Value

    text = Value("string")
    columns = {
        "id": text,
        "images": List(Image()),
        "question": text,
        "context": text,
        "answer": text,
        "other_answers": List(text),
        "steps": List(text),
        "final_answer": text,
        "reasoning": text,
        "score": Value("float64"),
        "quality": text,
        "rounds": Value("int32"),
        "mentors": List(text),
    }
    return Features(columns).arrow_schema


def _dataset_row(sample: Sample, export: Path) -> dict[str, Any]:
    return {
        "id": sample.id,
        "images": [_read_picture(sample, export, image) for image in sample.images],
        "question": sample.question,
        "context": sample.context,
        "answer": sample.answer,
        "other_answers": list(sample.other_answers),
        "steps": list(sample.steps),
        "final_answer": sample.final_answer,
        "reasoning": sample.completion,
        "score": sample.score,
        "quality": sample.quality,
        "rounds": sample.rounds,
        "mentors": list(sample.mentors),
    }


def _read_picture(sample: Sample, export: Path, image: str) -> dict[str, Any]:
    try:
        # The name alone: the whole path of a referenced picture would be published along with it.
        return {"bytes": (export / image).read_bytes(), "path": Path(image).name}
    except FileNotFoundError:
        raise RefusedRun(f"{sample.id}: its picture {export / image} is gone; export again") from None


def _card_header(files: Mapping[str, list[str]], total: int, card: Mapping[str, object]) -> dict[str, Any]:
    """What the hub reads of a data card."""
    return {
        "license": _one_line_value(card.get("license")),
        "task_categories": ["visual-question-answering", "image-text-to-text"],
        "tags": ["medical", "chain-of-thought"],
        "size_categories": [next((name for limit, name in _SIZES if total < limit), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": paths} for split, paths in files.items()],
            }
        ],
    }


def _card_text(counts: Mapping[str, int], card: Mapping[str, object]) -> str:
    names = ("license", "config_digest", "code_version")
    return _TEXT.format(
        sizes=", ".join(f"{count} {split} samples" for split, count in counts.items()),
        models=_card_items(card.get("models")),
        counts=_card_items(card.get("counts")),
        **{name: _one_line_value(card.get(name)) for name in names},
    )


def _card_items(value: object) -> str:
    """One Markdown item for each entry of a mapping."""
    if not isinstance(value, Mapping) or not value:
        return f"- {_one_line_value(value)}"
    return "\n".join(f"- {_one_line_value(name)}: {_one_line_value(entry)}" for name, entry in value.items())


def _one_line_value(value: object) -> str:
    """A value of the card on one line; nothing there is ``unknown``."""
    if isinstance(value, Mapping):
        value = [f"{name} {_one_line_value(entry)}" for name, entry in value.items()]
    if isinstance(value, list | tuple):
        value = ", ".join(_one_line_value(entry) for entry in value)
    # A line break would end the Markdown item.
    return "unknown" if value is None else " ".join(str(value).split()) or "unknown"
