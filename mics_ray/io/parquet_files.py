"""Parquet files that are read."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet as pq


@contextmanager
def open_parquet(
    source: str | Path | BinaryIO, *, buffer_size: int = 0, page_checksum_verification: bool = False
) -> Iterator[pq.ParquetFile]:
    """A file to be read, which takes no memory when it is closed; the options are those of :class:`pq.ParquetFile`.

    pyarrow's metadata of a file and the schema that it makes of it hold each other: 100 kB of a small file, megabytes
    of one of many row groups. The collector of cycles sees two small objects, and lets thousands of them gather.
    """
    file = pq.ParquetFile(
        source, pre_buffer=False, buffer_size=buffer_size, page_checksum_verification=page_checksum_verification
    )
    try:
        yield file
    finally:
        file.close()
        del file.reader  # holds the metadata for as long as the caller has the file
        gc.collect(0)
