"""Pictures of an export: kept as they are where every trainer reads the same pixels from the file, else re-encoded.

A plain file is a PNG or JPEG of 8-bit RGB or grey, upright, opaque and without text or Exif in it, which could name a
patient. Others (16-bit, DICOM, TIFF, rotated by Exif, transparent, …) become PNGs of what models see: 8-bit RGB,
pixel for pixel as `mics_ray.models.pictures.reading` loads them. Names are digests of the files.
"""

import hashlib
import io
import sqlite3
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mics_ray.assemble.case_pictures import CasePictures
from mics_ray.errors import RefusedRun
from mics_ray.models.pictures.reading import PictureError, load_picture
from mics_ray.models.pictures.windows import AUTO, View
from train.export.config import ImageMode
from train.export.jsonl import write_file

COPIED, REFERENCED, RE_ENCODED = "copied", "referenced", "re-encoded"
_ENDINGS = {"PNG": "png", "JPEG": "jpg"}
# Keys of Pillow's `info` without free text; a file that has any other is re-encoded.
_HARMLESS = {
    "jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "aspect", "gamma", "srgb", "chromaticity", "interlace",
    "progressive", "progression", "adobe", "adobe_transform", "icc_profile",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    """An exported picture: its path in records, digest of its pixels, (width, height), and what became of the file."""

    path: str
    digest: str
    size: tuple[int, int]
    fate: str


class PictureStore:
    """Exports pictures into ``folder/images``, each once; ``table`` remembers them, so that any number of them fits."""

    def __init__(self, folder: Path, mode: ImageMode, table: sqlite3.Connection) -> None:
        table.execute(
            "CREATE TABLE pictures (place INTEGER, name TEXT, path TEXT, digest TEXT, width INTEGER, height INTEGER, "
            "fate TEXT, PRIMARY KEY (place, name))"
        )
        self._folder, self._mode, self._table = folder, mode, table
        self._places: dict[tuple[Path | str, View], int] = {}

    def export_picture(self, record: str, root: Path | str, relative: str, view: View = AUTO) -> Picture:
        """The picture ``relative`` under ``root`` as the run's models saw it. Raises :class:`RefusedRun`."""
        key = self._places.setdefault((root, view), len(self._places)), relative
        known = "SELECT path, digest, width, height, fate FROM pictures WHERE place = ? AND name = ?"
        for path, digest, width, height, fate in self._table.execute(known, key):
            return Picture(path, digest, (width, height), fate)
        made = self._make_picture(record, root, relative, view)
        values = (*key, made.path, made.digest, *made.size, made.fate)
        self._table.execute("INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        return made

    def drop_unused(self, used: Container[str]) -> None:
        """Remove the written pictures whose paths are not among the ``used``."""
        written = self._table.execute("SELECT DISTINCT path FROM pictures WHERE fate <> ?", (REFERENCED,))
        for (path,) in written:
            if path not in used:
                (self._folder / path).unlink(missing_ok=True)

    def count_fates(self, used: Container[str]) -> dict[str, int]:
        """How many of the ``used`` files were copied, referenced, re-encoded."""
        # Of a path that was made twice the last row is taken, which MAX chooses.
        last = self._table.execute("SELECT path, fate, MAX(rowid) FROM pictures GROUP BY path")
        counts = Counter(fate for path, fate, _ in last if path in used)
        return {fate: counts[fate] for fate in (COPIED, REFERENCED, RE_ENCODED)}

    def _make_picture(self, record: str, root: Path | str, relative: str, view: View) -> Picture:
        try:
            made = self._load_and_write(root, relative, view)
            owner = CasePictures(root).find_owner(relative)
        except PictureError as error:
            raise RefusedRun(
                f"record {record}: {error} (under {root}); put it back, or give its folder as image_root=…"
            ) from None
        # Pictures inside an input file are named by their row: in a file of other rows that is another case's.
        if owner not in (None, record):
            raise RefusedRun(
                f"record {record}: {relative} is the picture of another record; the file is not the one that was "
                f"searched (under {root}); put that back, or give its folder as image_root=…"
            )
        return made

    def _load_and_write(self, root: Path | str, relative: str, view: View) -> Picture:
        image = load_picture(CasePictures(root), relative, view)
        # The size is part of it: the same bytes as 2 x 3 and as 3 x 2 pixels are two pictures.
        digest = hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()
        if not isinstance(root, Path):  # nothing to copy the file from but what was decoded
            return Picture(self._write_file(_encode_png(image), "png"), digest, image.size, RE_ENCODED)
        source = (root / relative).resolve()
        ending = plain_file_ending(source, image)
        if ending and self._mode is ImageMode.reference:
            return Picture(str(source), digest, image.size, REFERENCED)
        if ending:
            return Picture(self._write_file(source.read_bytes(), ending), digest, image.size, COPIED)
        return Picture(self._write_file(_encode_png(image), "png"), digest, image.size, RE_ENCODED)

    def _write_file(self, data: bytes, ending: str) -> str:
        """Write a file under the digest of its bytes; the path is relative to the export."""
        name = hashlib.sha256(data).hexdigest()
        path = f"images/{name[:2]}/{name}.{ending}"
        if not (self._folder / path).exists():
            write_file(self._folder / path, data)
        return path


def plain_file_ending(path: Path, image: Image.Image) -> str | None:
    """The file ending of a plain file that holds just the pixels of ``image``; ``None`` for any other file."""
    try:
        with Image.open(path, formats=list(_ENDINGS)) as found:
            # Pillow knows text and Exif chunks behind a PNG's pixels only after load().
            found.load()
            same = found.mode in ("RGB", "L") and set(found.info) <= _HARMLESS and not found.getexif()
            same = same and getattr(found, "n_frames", 1) == 1
            same = same and found.size == image.size and found.convert("RGB").tobytes() == image.tobytes()
            return _ENDINGS[str(found.format)] if same else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def check_picture_file(path: Path) -> tuple[tuple[int, int], None] | tuple[None, str]:
    """(width, height) of a picture file from its header, or what InternVL's trainer would do wrong with it."""
    try:
        with Image.open(path) as found:
            if found.mode.startswith(("I", "F")):
                return None, f"picture {path} has more than 8 bits, which the trainer clips; convert it to 8 bits"
            if found.getexif().get(0x0112, 1) != 1:
                return None, f"picture {path} is rotated by Exif, which the trainer ignores; rotate its pixels"
            return found.size, None
    except FileNotFoundError:
        return None, f"picture {path} is not there"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return None, f"picture {path} cannot be read ({type(error).__name__})"


def _encode_png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
