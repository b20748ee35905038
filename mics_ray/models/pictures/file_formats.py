"""Picture files: opening them without ever leaving the image folder, and their type from content."""

import errno
import os
import re
import stat
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

MAX_FILE_BYTES = 256 << 20
GZIP = b"\x1f\x8b"
NO_FILE = "no such file"
_UNUSABLE = {errno.ENOENT: NO_FILE, errno.EACCES: "no permission", errno.EPERM: "no permission"}
_ODD_PATHS = {errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO}


class PictureError(ValueError):
    """A picture cannot be used. The message names its relative path and the reason, never its content.

    ``constant``: it is of one single value.
    """

    constant = False


class PictureDefect(Exception):
    """What is wrong with a picture, by a reader that does not know its path."""


class ConstantPicture(PictureDefect):
    """A picture of one single value, in which there is nothing to see."""


@contextmanager
def name_errors(relative: str) -> Iterator[None]:
    """Turn what goes wrong inside into a :class:`PictureError` about ``relative``; faults of the system pass through.

    An invalid argument is none of them: a hostile file sends its decoder to a place that no file has.
    The broad ``except`` is the boundary to decoders, which raise anything on hostile bytes and may quote the file.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        reason = str(error) if isinstance(error, PictureDefect) else f"damaged or cut short ({type(error).__name__})"
        named = PictureError(f"picture {relative[:300]!r}: {reason}")
        named.constant = isinstance(error, ConstantPicture)
        raise named from None


class PictureFolder(Protocol):
    """What opens pictures by their paths in records, where they are not only files of a folder."""

    def open_picture(self, relative: str) -> BinaryIO:
        """The bytes of a picture. Raises :class:`PictureDefect`."""


PictureRoot = Path | PictureFolder


def open_picture(root: PictureRoot, relative: str) -> BinaryIO:
    """The bytes of the picture ``relative``: of a file under ``root``, or as ``root`` opens it."""
    return open_inside(root, relative) if isinstance(root, Path) else root.open_picture(relative)


def open_inside(root: Path, relative: str, most: int | None = MAX_FILE_BYTES) -> BinaryIO:
    """Open the regular file ``relative`` under ``root``; links may lead only to places under ``root``.

    ``most``: bytes that it may have. Raises :class:`PictureDefect`.
    """
    require_relative(relative)
    try:
        base = root.resolve(strict=True)
        target = _find_target(base, relative)
        if not target.is_relative_to(base):
            raise PictureDefect("a link that leaves the image folder")
        if not stat.S_ISREG(target.lstat().st_mode):  # before opening: to open a FIFO or a device is to act on it
            raise PictureDefect("not a regular file")
        file = open(_open_below(base, target.relative_to(base).parts), "rb")  # noqa: SIM115 - the caller's to close
    except (RuntimeError, UnicodeError):
        raise PictureDefect("not a path") from None
    except OSError as error:
        if error.errno not in {*_UNUSABLE, *_ODD_PATHS}:
            raise
        raise PictureDefect(_UNUSABLE.get(error.errno or 0, "not a path to a file")) from None
    size = os.fstat(file.fileno()).st_size
    if not size or (most is not None and size > most):
        file.close()
        raise PictureDefect(f"more than {(most or 0) >> 20} MB" if size else "empty file")
    return file


def require_relative(relative: str) -> None:
    """Raises :class:`PictureDefect` for a path that can be seen to lead out of the image folder."""
    if "\0" in relative or not relative.strip():
        raise PictureDefect("not a path")
    if re.match(r"[a-z][a-z0-9+.-]+:", relative, re.IGNORECASE):
        raise PictureDefect("a URL, not a path under the image folder")
    if relative.startswith("/") or ".." in relative.split("/"):
        raise PictureDefect("a path that leaves the image folder")


def _find_target(base: Path, relative: str) -> Path:
    """The file, whichever normal form of Unicode its name and ``relative`` are in. Raises ``OSError``."""
    try:
        return (base / relative).resolve(strict=True)
    except FileNotFoundError:
        if relative.isascii():
            raise
    here = base
    for part in Path(relative).parts:
        forms = (part, unicodedata.normalize("NFC", part), unicodedata.normalize("NFD", part))
        here = next((here / form for form in forms if (here / form).exists()), here / part)
    return here.resolve(strict=True)


def _open_below(base: Path, parts: tuple[str, ...]) -> int:
    """Open ``parts`` one by one below ``base``, following no link: a folder swapped meanwhile cannot lead outside."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    here = os.open(base, flags | os.O_DIRECTORY)
    for depth, part in enumerate(parts, start=1):
        try:
            below = os.open(part, flags | (os.O_DIRECTORY if depth < len(parts) else 0), dir_fd=here)
        finally:
            os.close(here)
        here = below
    return here


def detect_kind(file: BinaryIO) -> str:
    """``png``, ``jpeg``, ``tiff``, ``gif``, ``bmp``, ``webp``, ``avif``, ``dicom`` or ``nifti``, by content.

    Raises :class:`PictureDefect` for others.
    """
    file.seek(0)
    beginning = file.read(2048)
    head = beginning[:132]
    file.seek(0)
    if _is_nifti(beginning):
        return "nifti"
    if head[4:8] == b"ftyp":
        return _detect_media(beginning)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[128:] == b"DICM":
        return "dicom"
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    if _begins_like_dicom(head):
        return "dicom"
    raise PictureDefect("not a PNG, JPEG, TIFF, WebP, GIF, BMP, AVIF, DICOM or NIfTI file")


def _detect_media(head: bytes) -> str:
    """``avif`` for a file of ISO's media container whose brands say so. Raises :class:`PictureDefect` for others."""
    size = min(max(16, int.from_bytes(head[:4], "big")), 256)
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, size, 4))}
    if brands & _AVIF:
        return "avif"
    if brands & _HEIC:
        raise PictureDefect("a HEIC picture, which Pillow does not read; convert it to PNG or JPEG (pillow-heif does)")
    raise PictureDefect("a video (MP4, MOV or the like), no picture; give its frames as PNG or JPEG")


def _is_nifti(head: bytes) -> bool:
    """Whether a file that begins so is a NIfTI volume, packed or not; ``head``: 348 bytes of it or more."""
    if head.startswith(GZIP):
        try:
            head = zlib.decompressobj(31).decompress(head, 400)
        except zlib.error:
            return False
    size = {int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")}
    return (348 in size and head[344:347] == b"n+1") or (540 in size and head[4:7] == b"n+2")


def _begins_like_dicom(head: bytes) -> bool:
    """Whether a file without preamble begins with an element of DICOM's groups 0, 2 or 8, in either byte order."""
    if len(head) < 8:
        return False
    for order in "<>":
        group, element, length = struct.unpack_from(f"{order}HHL", head)
        explicit = head[4:6].isalpha() and head[4:6].isupper()
        if group in (0, 2, 8) and element < 0x2000 and (explicit or length < len(head)):
            return bool(group != 0 or (element == 0 and length == 4))
    return False


_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"BM": "bmp",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
}
