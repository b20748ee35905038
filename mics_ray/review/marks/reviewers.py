"""The folder of a run's reviews, and names of reviewers: each is the name of a file, on any file system."""

import re
import unicodedata
from pathlib import Path

from mics_ray.errors import RefusedRun

FOLDER, ENDING = "reviews", ".jsonl"
MOST_BYTES = 100
"""Of a name, with room for endings: a file's name has 255 bytes at most, 143 where a disk encrypts names."""
_NAME = re.compile(r"[^\W_][\w.-]*")
# Windows opens devices by these names, whatever their ending.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.I)


def find_folder(run: Path) -> Path:
    """Where a run's reviews lie."""
    return run / FOLDER


def find_file(run: Path, reviewer: str) -> Path:
    """The marks of a reviewer."""
    return run / FOLDER / f"{reviewer}{ENDING}"


def list_reviewers(run: Path) -> list[str]:
    """All reviewers of a run, in alphabetical order."""
    files = find_folder(run).glob(f"*{ENDING}")
    return sorted(path.name.removesuffix(ENDING) for path in files if not path.name.startswith("."))


def check_reviewer(run: Path, name: str) -> str:
    """The name as it is used: composed letters (NFC), however it was typed.

    Raises :class:`RefusedRun` for what is no safe file name, and for one that differs from a reviewer's in case alone:
    some disks take both for one file.
    """
    name = unicodedata.normalize("NFC", name)
    # What else a terminal shows is not repeated: it may hold anything.
    if not _NAME.fullmatch(name) or len(name.encode()) > MOST_BYTES:
        raise RefusedRun(
            "reviewer: a name is letters, digits, and . _ - behind the first, such as anna or a.mueller-2; "
            f"at most {MOST_BYTES} bytes"
        )
    if _DEVICES.fullmatch(name) or name.endswith(".") or name.lower().endswith(ENDING):
        raise RefusedRun(f"reviewer: {name} cannot be a file's name on every system; give another")
    for other in list_reviewers(run):
        if other != name and other.casefold() == name.casefold():
            raise RefusedRun(f"reviewer: {name} differs from {other} in capital letters alone; give reviewer={other}")
    return name
