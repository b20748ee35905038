"""Pictures of an export: kept as they are where every trainer reads the same pixels from the file, else re-encoded.

A plain file is a PNG or JPEG of 8-bit RGB or grey, upright, opaque and without text or Exif in it, which could name a
patient. Others (16-bit, DICOM, TIFF, rotated by Exif, transparent, …) become PNGs of what models see: 8-bit RGB,
pixel for pixel as `mics_ray.models.pictures.reading` loads them. Names are digests of the files.
"""

import hashlib
import io
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class PictureStore:
    """Exports pictures into ``folder/images``, each once."""

    folder: Path
    mode: ImageMode
    _made: dict[tuple[Path | str, str, View], Picture] = field(default_factory=dict)

    def export_picture(self, record: str, root: Path | str, relative: str, view: View = AUTO) -> Picture:
        """The picture ``relative`` under ``root`` as the run's models saw it. Raises :class:`RefusedRun`."""
        key = (root, relative, view)
        if key not in self._made:
            try:
                self._made[key] = self._load_and_write(root, relative, view)
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
        return self._made[key]

    def drop_unused(self, used: set[str]) -> None:
        """Remove the written pictures that no record names."""
        for picture in self._made.values():
            if picture.fate != REFERENCED and picture.path not in used:
                (self.folder / picture.path).unlink(missing_ok=True)

    def count_fates(self, used: set[str]) -> dict[str, int]:
        """How many of the ``used`` files were copied, referenced, re-encoded."""
        found = {picture.path: picture.fate for picture in self._made.values() if picture.path in used}
        return {fate: list(found.values()).count(fate) for fate in (COPIED, REFERENCED, RE_ENCODED)}

    def _load_and_write(self, root: Path | str, relative: str, view: View) -> Picture:
        image = load_picture(CasePictures(root), relative, view)
        # The size is part of it: the same bytes as 2 x 3 and as 3 x 2 pixels are two pictures.
        digest = hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()
        if not isinstance(root, Path):  # nothing to copy the file from but what was decoded
            return Picture(self._write_file(_encode_png(image), "png"), digest, image.size, RE_ENCODED)
        source = (root / relative).resolve()
        ending = plain_file_ending(source, image)
        if ending and self.mode is ImageMode.reference:
            return Picture(str(source), digest, image.size, REFERENCED)
        if ending:
            return Picture(self._write_file(source.read_bytes(), ending), digest, image.size, COPIED)
        return Picture(self._write_file(_encode_png(image), "png"), digest, image.size, RE_ENCODED)

    def _write_file(self, data: bytes, ending: str) -> str:
        """Write a file under the digest of its bytes; the path is relative to the export."""
        name = hashlib.sha256(data).hexdigest()
        path = f"images/{name[:2]}/{name}.{ending}"
        if not (self.folder / path).exists():
            write_file(self.folder / path, data)
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
