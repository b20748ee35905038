"""Reading an export: its stages in order, and the data sets that each is made of."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mics_ray.config.compose import suggest_nearest
from mics_ray.errors import RefusedRun

RESERVED = ("adapter", "checkpoints", "logs", "merged")
"""Folders that a trainer makes beside the stages' own."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """One entry of a meta file. ``root`` and ``annotation`` are absolute; ``length`` counts records, repeats left
    out; ``tiles`` is the most that a sample's pictures are cut into, where the entry says so."""

    name: str
    root: Path
    annotation: Path
    repeat: int
    length: int
    tiles: int | None

    @property
    def sample_count(self) -> int:
        """Records that one epoch reads, repeats included."""
        return self.length * self.repeat


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a curriculum: the meta file as InternVL's trainer reads it, and what it says."""

    name: str
    meta: Path
    entries: tuple[DataSet, ...]

    @property
    def sample_count(self) -> int:
        """Records that one epoch reads, repeats included."""
        return sum(entry.sample_count for entry in self.entries)


def read_stages(export_dir: str | Path, names: Sequence[str] | None = None) -> list[Stage]:
    """The stages of an export, all of them or the named ones, in the export's order.

    Raises :class:`RefusedRun` naming the stage and the file that is missing, empty or not readable.
    """
    folder = Path(export_dir).absolute()
    report = _read_json_object(
        folder / "report.json", f"export.dir {export_dir}: no export is there; run scripts/export.py first"
    )
    listed = report.get("stages")
    if not isinstance(listed, list) or not listed:
        raise RefusedRun(f"export.dir {export_dir}: report.json lists no stage; export again with stages=NAME")
    found = {str(stage["name"]): folder / str(stage["meta"]) for stage in listed}
    for name in names if names is not None else ():
        if name not in found:
            raise RefusedRun(f"export.stages: the export has no stage {name!r}{suggest_nearest(name, list(found))}")
    chosen = [name for name in found if names is None or name in names]
    if not chosen:
        raise RefusedRun("export.stages: no stage is chosen; leave it out to train all of them")
    return [_read_stage(name, found[name]) for name in chosen]


def _read_stage(name: str, meta: Path) -> Stage:
    if not re.fullmatch(r"\w[\w.-]*", name) or name in RESERVED:
        raise RefusedRun(f"stage {name!r}: not usable as the name of a folder in train.dir; export it under another")
    content = _read_json_object(meta, f"stage {name}: {meta} is not there; export again")
    entries = tuple(_read_data_set(f"stage {name}, data set {key}", key, entry) for key, entry in content.items())
    stage = Stage(name, meta, entries)
    if not stage.sample_count:
        raise RefusedRun(f"stage {name}: {meta} has no sample; leave the stage out or export again")
    return stage


def _read_data_set(place: str, name: str, entry: dict[str, Any]) -> DataSet:
    missing = [key for key in ("root", "annotation", "repeat_time", "length") if key not in entry]
    if missing:
        raise RefusedRun(f"{place}: {', '.join(missing)} missing in the meta file")
    root, annotation, repeat = Path(entry["root"]), Path(entry["annotation"]), entry["repeat_time"]
    # Not isinstance, for which `true` is a whole number too.
    if type(repeat) is not int or repeat < 1:
        raise RefusedRun(f"{place}: repeat_time is {repeat}, but InternVL's trainer needs a whole number above 0")
    if not annotation.name.endswith("jsonl"):
        raise RefusedRun(f"{place}: {annotation} must have a name that ends in jsonl")
    for path, there in ((root, root.is_dir()), (annotation, annotation.is_file())):
        if not path.is_absolute() or not there:
            raise RefusedRun(f"{place}: {path} is not there; the export was moved or removed, export again")
    if annotation.stat().st_size == 0:
        raise RefusedRun(f"{place}: {annotation} is empty; leave the data set out or export again")
    return DataSet(name, root, annotation, repeat, int(entry["length"]), entry.get("max_dynamic_patch"))


def _read_json_object(path: Path, absent: str) -> dict[str, Any]:
    """The object in a JSON file. Raises :class:`RefusedRun`: ``absent`` where there is no file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RefusedRun(absent) from None
    except (OSError, ValueError) as error:
        raise RefusedRun(f"cannot read {path}: {type(error).__name__}; export again") from None
    if not isinstance(content, dict):
        raise RefusedRun(f"cannot read {path}: it holds no JSON object; export again")
    return content
