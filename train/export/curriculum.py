"""The stages of a curriculum: for each a meta file of InternVL's trainer, with repeats as it expects them.

Upstream takes the first lines for a share below 1, so a share is drawn here and written as an annotation of its own.
Whole repeats stay one annotation, read several times. Of data sets of others every line is checked, and what is written
is what passed the check.
"""

import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mics_ray.errors import RefusedRun
from train.export.config import CHAINS, DataSetConfig, LengthConfig, StageConfig
from train.export.forms.internvl import BadRecord, RecordChecker, make_record_safe
from train.export.jsonl import write_file, write_jsonl
from train.export.tokens import Ruler
from train.stages import RESERVED

VALIDATION = "validation"
TRAIN = "train.jsonl"
_SHOWN = 20  # problems of a file that a refusal lists


@dataclass(frozen=True, slots=True)
class ExportPlace:
    """Where an export is written, and where it will be found afterwards."""

    folder: Path
    final: Path


@dataclass(frozen=True, slots=True)
class Curriculum:
    """The stages as the report lists them, and what was left out of them, a line each."""

    stages: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_stages(stages: Mapping[str, StageConfig]) -> None:
    """Refuse stages that cannot be written, before anything is read. Raises :class:`RefusedRun`."""
    for name, stage in stages.items():
        # The export writes meta files under VALIDATION and *_mpo, and trainers have folders under RESERVED.
        if not re.fullmatch(r"\w[\w.-]*", name) or name in (*RESERVED, VALIDATION) or name.endswith("_mpo"):
            raise RefusedRun(f"stages.{name}: not usable as the name of a stage; give it another")
        for key, one in stage.sets.items():
            field_name = f"stages.{name}.sets.{key}"
            if not re.fullmatch(r"\w[\w.-]*", key):
                raise RefusedRun(f"{field_name}: not usable as the name of a data set; give it another")
            if one.repeats <= 0 or (one.repeats > 1 and one.repeats != int(one.repeats)):
                raise RefusedRun(f"{field_name}.repeats: {one.repeats:g} is neither a whole number nor a share below 1")
            if one.path not in (None, CHAINS) and not Path(str(one.path)).is_file():
                raise RefusedRun(f"{field_name}.path: no such file: {one.path}")
            if one.root is not None and not Path(one.root).is_dir():
                raise RefusedRun(f"{field_name}.root: no such folder: {one.root}")
    if not any(one.path for stage in stages.values() for one in stage.sets.values()):
        raise RefusedRun("stages: no data set of any stage has a path")


def write_stages(
    place: ExportPlace, stages: Mapping[str, StageConfig], chains: int, ruler: Ruler, seed: int
) -> Curriculum:
    """Write the meta files, and the annotations of all data sets but the whole of our chains.

    These are the ``chains`` records of ``train.jsonl``, which is written before.

    A data set without a path, and a stage without data sets, is left out with a note. Raises :class:`RefusedRun`.
    """
    found = Curriculum()
    for name, stage in stages.items():
        entries = {
            key: _write_data_set(place, f"{name}/{key}", one, chains, ruler, seed)
            for key, one in stage.sets.items()
            if one.path is not None
        }
        if absent := [key for key, one in stage.sets.items() if one.path is None]:
            found.notes.append(f"stage {name}: left out for want of a path: {', '.join(absent)}")
        if entries:
            found.stages.append(write_meta(place, name, entries))
        else:
            found.notes.append(f"stage {name}: left out, it has no data set")
    return found


def write_meta(place: ExportPlace, name: str, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Write ``meta/NAME.json`` and return the stage as the report lists it."""
    meta = f"meta/{name}.json"
    write_file(place.folder / meta, json.dumps(entries, indent=1))
    sets = {key: {name: entry[name] for name in ("length", "repeat_time")} for key, entry in entries.items()}
    samples = sum(entry["length"] * entry["repeat_time"] for entry in entries.values())
    return {"name": name, "meta": meta, "samples": samples, "sets": sets}


def make_meta_entry(root: Path, annotation: Path, length: int, repeat: int, config: LengthConfig) -> dict[str, Any]:
    """One data set of a meta file. ``length`` counts lines, without repeats."""
    return {
        "root": str(root),
        "annotation": str(annotation),
        "data_augment": False,
        "repeat_time": repeat,
        "length": length,
        "max_dynamic_patch": config.max_tiles,
    }


def _write_data_set(
    place: ExportPlace, name: str, config: DataSetConfig, chains: int, ruler: Ruler, seed: int
) -> dict[str, Any]:
    ours = config.path == CHAINS
    if ours and config.repeats >= 1:
        return make_meta_entry(place.final, place.final / TRAIN, chains, int(config.repeats), ruler.config)
    path = Path(str(config.path))
    root = place.final if ours else Path(config.root or path.parent).absolute()
    count = chains if ours else count_lines(path)
    if not count:
        raise RefusedRun(f"stages: the data set {path} is empty; leave it out")
    source = _read_chains(place.folder / TRAIN) if ours else read_data_set(path, RecordChecker(root, ruler))
    wanted = draw_lines(count, config.repeats, seed, name) if config.repeats < 1 else None
    annotation = f"stages/{name}.jsonl"
    written = write_jsonl(place.folder / annotation, _select_records(source, wanted))
    return make_meta_entry(root, place.final / annotation, written, max(1, int(config.repeats)), ruler.config)


def _read_chains(path: Path) -> Iterator[dict[str, Any]]:
    """Our own records, which have passed the check."""
    return (json.loads(line) for _, line in _iter_lines(path))


def _select_records(source: Iterable[dict[str, Any]], wanted: set[int] | None) -> Iterator[dict[str, Any]]:
    """The wanted records by their number, or all; the source is read to its end, so that every record is checked."""
    for number, record in enumerate(source):
        if wanted is None or number in wanted:
            yield record


def read_data_set(path: Path, checker: RecordChecker) -> Iterator[dict[str, Any]]:
    """The records of an annotation file, safe for the trainer.

    After the last one, raises :class:`RefusedRun` with file, line and id of those that the trainer would not read as
    themselves.
    """
    problems = []
    for number, line in _iter_lines(path):
        record: dict[str, Any] = {}
        try:
            record = _parse_line(line)
            checker.check_record(record)
            yield record
        except BadRecord as bad:
            problems.append(f"line {number}, record {record.get('id', '(no id)')}: {bad}")
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems[:_SHOWN])
        raise RefusedRun(
            f"{path}: {len(problems)} records that InternVL's trainer would silently replace or damage; mend or remove "
            f"them:{listed}"
        )


def draw_lines(count: int, share: float, *seed: object) -> set[int]:
    """Which of ``count`` lines are in a share of them, drawn from the seed: at least one."""
    draw = random.Random(" ".join(map(str, seed)))
    return set(draw.sample(range(count), min(count, max(1, int(count * share)))))


def count_lines(path: Path) -> int:
    """Lines of a file. Raises :class:`RefusedRun`."""
    return sum(1 for _ in _iter_lines(path))


def _iter_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            yield from enumerate(file, 1)
    except OSError as error:
        raise RefusedRun(f"cannot read the data set {path}: {error.strerror}") from None


def _parse_line(line: bytes) -> dict[str, Any]:
    if not line.strip():
        raise BadRecord("a blank line")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise BadRecord("not JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise BadRecord("not a JSON object")
    return make_record_safe(found)
