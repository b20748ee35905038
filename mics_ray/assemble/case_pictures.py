"""The pictures of cases: files under the image folder or at an address, or inside the Parquet files of the input."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mics_ray.io.embedded_pictures import EmbeddedPicture, find_embedded, read_embedded, read_row_id
from mics_ray.io.storage import StorageError, open_address, read_object
from mics_ray.models.pictures.file_formats import MAX_FILE_BYTES, NO_FILE, PictureDefect, open_inside, require_relative


@dataclass(frozen=True, slots=True)
class CasePictures:
    """Opens a case's pictures by the paths in its record, all of them under ``root``: a folder, or an address."""

    root: Path | str

    def open_picture(self, relative: str) -> BinaryIO:
        """The bytes of a picture. Raises :class:`PictureDefect` and what pyarrow raises on a damaged file."""
        place = find_embedded(relative)
        if place is None:
            return self._open_file(relative)
        found = self._read_place(place)
        return self._open_file(found) if isinstance(found, str) else io.BytesIO(found)

    def find_owner(self, relative: str) -> str | None:
        """The id of the record that holds a picture inside a Parquet file; ``None`` for a file, and without an id."""
        place = find_embedded(relative)
        if place is None:
            return None
        with self._open_parquet(place.file) as file:
            return read_row_id(file, place)

    def _open_file(self, relative: str) -> BinaryIO:
        if isinstance(self.root, Path):
            return open_inside(self.root, relative)
        require_relative(relative)
        try:
            data = read_object(self.root, relative, MAX_FILE_BYTES)
        except FileNotFoundError:
            raise PictureDefect(NO_FILE) from None
        except StorageError as error:
            raise PictureDefect(str(error)) from None
        # Also a fault of the network: it was tried again, and another picture must not be held up by it.
        except OSError as error:
            raise PictureDefect(f"cannot be read from its address ({type(error).__name__})") from None
        if not data:
            raise PictureDefect("empty file")
        return io.BytesIO(data)

    def _read_place(self, place: EmbeddedPicture) -> bytes | str:
        try:
            with self._open_parquet(place.file) as file:
                found = read_embedded(file, place)
        except LookupError as error:
            raise PictureDefect(str(error.args[0])) from None
        if len(found) > MAX_FILE_BYTES:
            raise PictureDefect(f"more than {MAX_FILE_BYTES >> 20} MB")
        return found

    def _open_parquet(self, relative: str) -> BinaryIO:
        if isinstance(self.root, Path):
            return open_inside(self.root, relative, most=None)
        require_relative(relative)
        try:
            return open_address(self.root, relative)
        except FileNotFoundError:
            raise PictureDefect(NO_FILE) from None
