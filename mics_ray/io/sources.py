"""A file of cases as a stream of records, whatever its format."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from gzip import BadGzipFile

import pyarrow as pa

from mics_ray.io.input_files import InputError, InputFile, read_head
from mics_ray.io.json_list import find_json, read_json
from mics_ray.io.readers import BOM, Places, Raw, find_jsonl, find_parquet, read_jsonl, read_parquet
from mics_ray.io.records import is_read_key

# zip, zstd, bzip2, xz, UTF-16 LE/BE
_FOREIGN = (b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ", b"\xff\xfe", b"\xfe\xff")


class Format(StrEnum):
    """How a file holds its records."""

    JSONL = "jsonl"
    JSON = "json"
    PARQUET = "parquet"

    @property
    def unit(self) -> str:
        """What positions count: ``line`` or ``record``."""
        return "line" if self is Format.JSONL else "record"


_READERS = {Format.JSONL: read_jsonl, Format.JSON: read_json, Format.PARQUET: read_parquet}
_FINDERS = {Format.JSONL: find_jsonl, Format.JSON: find_json, Format.PARQUET: find_parquet}


def detect_format(file: InputFile) -> Format:
    """The format of a file, by its content where the name leaves it open. Raises :class:`InputError`."""
    path = file.path
    head = _read_head(path)
    suffix = os.path.splitext(file.name.lower().removesuffix(".gz"))[1]
    if head.startswith(b"PAR1"):
        return Format.PARQUET
    if head.startswith(_FOREIGN):
        raise InputError(
            f"{path}: compressed (gzip alone is read), or text that is not UTF-8; unpack it or save it as UTF-8"
        )
    if suffix in (".jsonl", ".ndjson"):
        return Format.JSONL
    text = head.removeprefix(BOM).lstrip()
    if suffix != ".parquet" and text.startswith((b"[", b"{")):
        return Format.JSONL if text.startswith(b"{") and _begins_with_record(file) else Format.JSON
    raise InputError(f"{path}: neither JSONL, JSON (a list of records) nor Parquet; convert it to one of them")


def read_raw_records(file: InputFile, form: Format, start: int = 0, first: int = 1) -> Iterator[Raw]:
    """All records from ``start`` on, the first of them numbered ``first``. Raises :class:`InputError`."""
    with _name_errors(file, form):
        yield from _READERS[form](file, start, first)


def find_raw_records(file: InputFile, form: Format) -> Iterator[Places]:
    """Position and start of all records, which are not decoded. Raises :class:`InputError`."""
    with _name_errors(file, form):
        yield from _FINDERS[form](file)


@contextmanager
def _name_errors(file: InputFile, form: Format) -> Iterator[None]:
    try:
        yield
    # EOFError, zlib.error: what gzip raises on bytes that are cut short or damaged.
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        said = f"cannot be read as {form} ({type(error).__name__})"
        raise InputError(f"{file.path}: {said}; is the file whole?") from None


def _read_head(path: str) -> bytes:
    """The first bytes of a file with something in it."""
    try:
        head = read_head(path)
    except OSError as error:
        said = "damaged gzip" if isinstance(error, BadGzipFile) else error.strerror or "cannot be read"
        raise InputError(f"{path}: {said}; check data.cases") from None
    except (EOFError, zlib.error):
        raise InputError(f"{path}: damaged gzip; is the file whole?") from None
    if not head.strip():
        raise InputError(f"{path}: empty; it should hold at least one record")
    return head


def _begins_with_record(file: InputFile) -> bool:
    """Whether the first line alone is a record: JSON lines under another name."""
    raw = next(read_jsonl(file, 0, 1), None)
    return raw is not None and isinstance(raw.value, dict) and any(map(is_read_key, raw.value))
