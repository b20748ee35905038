"""Pictures out of a zip file: only the members that are asked for."""

from collections.abc import Callable, Iterable
from typing import Any
from zipfile import BadZipFile, ZipFile

from mics_ray.errors import RefusedRun


def unpack_members(file: Any, names: Iterable[str], write: Callable[[str, bytes], None]) -> None:
    """Hand each member whose path is, or ends with, one of ``names`` to ``write``; names that are no member are left.

    ``file`` is a seekable binary file; it is closed. Names that climb out of a folder are never written.
    """
    wanted = {name for name in names if name and ".." not in name.split("/") and not name.startswith("/")}
    try:
        with file, ZipFile(file) as archive:
            for member in archive.infolist():
                if not member.is_dir() and (name := _asked_for(member.filename, wanted)):
                    write(name, archive.read(member))
    except BadZipFile:
        raise RefusedRun(f"{getattr(file, 'name', 'the archive')}: not a whole zip file; fetch it again") from None


def _asked_for(member: str, wanted: set[str]) -> str | None:
    """The wanted name that a member is: its path from some folder on."""
    # Archives of one benchmark differ in their top folder (images/, imgs/, none), by who packed them.
    parts = member.split("/")
    tails = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((tail for tail in tails if tail in wanted), None)
