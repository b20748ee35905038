"""Keys that records have and that nothing reads: a picture under such a key would be missed without a word."""

from collections import Counter
from collections.abc import Iterator

from mics_ray.io.input_files import CasesGiven, InputFile, find_input_files, open_stored
from mics_ray.io.parquet_files import open_parquet
from mics_ray.io.readers import list_read_columns
from mics_ray.io.records.keys import is_read_key, quote_text
from mics_ray.io.sources import Format, detect_format, read_raw_records

MOST_KEYS = 1000
"""Different keys that are told apart: records may hold data as keys."""
SHOWN = 10


def count_unread_keys(given: CasesGiven) -> Counter[str]:
    """In how many records each key stands that is not read. Raises :class:`mics_ray.io.cases.InputError`."""
    found = Counter[str]()
    for file in find_input_files(given):
        for key, count in _iter_unread(file):
            if key in found or len(found) < MOST_KEYS:
                found[key] += count
    return found


def describe_unread(found: Counter[str]) -> str:
    """A line that names the keys, the most frequent first; "" for none."""
    if not found:
        return ""
    named = ", ".join(f"{quote_text(key)} ({count})" for key, count in found.most_common(SHOWN))
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"keys that are not read (records): {named}{more}"


def _iter_unread(file: InputFile) -> Iterator[tuple[str, int]]:
    form = detect_format(file)
    if form is Format.PARQUET:
        # Columns that are not read never come to be records.
        with open_stored(file.path) as stream, open_parquet(stream) as parquet:
            read, rows = list_read_columns(parquet.schema_arrow), parquet.metadata.num_rows
            yield from ((name, rows) for name in parquet.schema_arrow.names if name not in read)
        return
    for raw in read_raw_records(file, form):
        if isinstance(raw.value, dict):
            yield from ((key, 1) for key, value in raw.value.items() if value is not None and not is_read_key(key))
