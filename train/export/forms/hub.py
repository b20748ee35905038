"""A folder for the Hugging Face hub: Parquet with the pictures inside, and a data card that says what it is."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mics_ray.errors import RefusedRun
from mics_ray.private_files import open_private
from train.export.samples import Sample

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


def write_dataset(
    folder: Path, train: Sequence[Sample], validation: Sequence[Sample], card: Mapping[str, object]
) -> None:
    """Write ``folder`` anew so that ``datasets.load_dataset(str(folder))`` loads its splits; an empty one is left out.

    Pictures are read from the export, the parent of ``folder``. ``card`` may have ``license``, ``models``, ``counts``
    (mappings), ``config_digest`` and ``code_version``. Raises ``OSError``, and :class:`RefusedRun` for a picture gone.
    """
    data = folder / "data"
    for place in (folder, data):
        place.mkdir(parents=True, exist_ok=True)
        # mkdir does not change the mode of a folder that is there already.
        place.chmod(0o700)
    for old in data.glob("*.parquet"):
        old.unlink()
    splits = {name: samples for name, samples in (("train", train), ("validation", validation)) if samples}
    files = {name: _write_split(data, name, samples) for name, samples in splits.items()}
    header = yaml.safe_dump(
        _card_header(files, len(train) + len(validation), card), sort_keys=False, allow_unicode=True
    )
    with open(folder / "README.md", "w", encoding="utf-8", opener=open_private) as file:
        file.write(f"---\n{header}---\n\n{_card_text(splits, card)}")


def _write_split(data: Path, split: str, samples: Sequence[Sample]) -> list[str]:
    """The names of the split's files, relative to the data set."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, names = _make_schema(), []
    for number, some in enumerate(_split_evenly(samples, _ROWS_A_FILE)):
        path = data / f"{split}-{number:05d}.parquet"
        with open(path, "wb", opener=open_private) as file, pq.ParquetWriter(file, schema) as writer:
            for group in _split_evenly(some, _ROWS_A_GROUP):
                rows = [_dataset_row(sample, data.parent.parent) for sample in group]
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        names.append(f"{data.name}/{path.name}")
    return names


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


def _split_evenly(samples: Sequence[Sample], size: int) -> Iterator[Sequence[Sample]]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


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


def _card_text(splits: Mapping[str, Sequence[Sample]], card: Mapping[str, object]) -> str:
    names = ("license", "config_digest", "code_version")
    return _TEXT.format(
        sizes=", ".join(f"{len(samples)} {split} samples" for split, samples in splits.items()),
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
