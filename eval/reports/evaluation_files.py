"""Files of an evaluation's folder: its configuration and rows in, reports out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from eval.rows import ANSWERS
from mics_ray.errors import RefusedRun
from mics_ray.io.shards.kind import ShardError
from mics_ray.io.shards.reading import iter_rows


def read_evaluation_config(folder: Path) -> dict[str, Any]:
    """The resolved configuration of an evaluation. Raises :class:`RefusedRun` when the folder holds none."""
    path = folder / "config.yaml"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise RefusedRun(f"{folder}: holds no evaluation (no {path.name}); give the eval.dir of one") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise RefusedRun(f"{path}: damaged; it is the configuration that evaluate.py wrote") from None
    # A run's folder has a config.yaml too: that it is a generation's is told here, not by a missing key later.
    if not isinstance(found, dict) or not isinstance(found.get("eval"), dict):
        raise RefusedRun(f"{path}: not the configuration of an evaluation; give the eval.dir of one")
    return found


def read_answer_rows(folder: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The committed rows of an evaluation. Raises :class:`RefusedRun` for a damaged shard."""
    try:
        yield from iter_rows(folder / "results", columns, ANSWERS)
    except ShardError as error:
        raise RefusedRun(str(error)) from None
