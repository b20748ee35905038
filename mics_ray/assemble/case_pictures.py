"""The pictures of cases: files under the image folder, or inside the Parquet files of the input."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mics_ray.io.embedded_pictures import EmbeddedPicture, find_embedded, read_embedded
from mics_ray.models.pictures.file_formats import MAX_FILE_BYTES, PictureDefect, open_inside


@dataclass(frozen=True, slots=True)
class CasePictures:
    """Opens a case's pictures by the paths in its record, all of them under ``root``."""

    root: Path

    def open_picture(self, relative: str) -> BinaryIO:
        """The bytes of a picture. Raises :class:`PictureDefect` and what pyarrow raises on a damaged file."""
        place = find_embedded(relative)
        if place is None:
            return open_inside(self.root, relative)
        found = self._read_place(place)
        return open_inside(self.root, found) if isinstance(found, str) else io.BytesIO(found)

    def _read_place(self, place: EmbeddedPicture) -> bytes | str:
        try:
            with open_inside(self.root, place.file, most=None) as file:
                found = read_embedded(file, place)
        except LookupError as error:
            raise PictureDefect(str(error.args[0])) from None
        if len(found) > MAX_FILE_BYTES:
            raise PictureDefect(f"more than {MAX_FILE_BYTES >> 20} MB")
        return found
