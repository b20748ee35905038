"""Stores of an export's pictures, for tests of what becomes of a picture."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from train.export.config import ImageMode
from train.export.pictures import PictureStore


@contextmanager
def open_store(folder: Path, mode: ImageMode = ImageMode.copy) -> Iterator[PictureStore]:
    """A store that writes into ``folder``."""
    with closing(sqlite3.connect(":memory:")) as table:
        yield PictureStore(folder, mode, table)
