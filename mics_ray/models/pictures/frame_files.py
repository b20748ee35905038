"""From a picture's path to what is shown of it: the frames that it names, or the one that stands for the file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from mics_ray.core.frames import MAX_NAMED, Frames, split_address
from mics_ray.models.pictures.file_formats import (
    NO_FILE,
    ConstantPicture,
    PictureDefect,
    PictureRoot,
    detect_kind,
    name_errors,
    open_picture,
)
from mics_ray.models.pictures.plain_files import PlainFile
from mics_ray.models.pictures.shown import FrameFile, Shown
from mics_ray.models.pictures.windows import View

MOST_TRIED = 32
"""Frames that are looked at for one that holds more than one single value."""


@dataclass(frozen=True, slots=True)
class NamedPicture:
    """A picture that models see. ``name``: its path, with the frame if that is told; ``count``: frames of the file."""

    name: str
    shown: Shown
    count: int


def read_pictures(root: PictureRoot, path: str, view: View) -> list[NamedPicture]:
    """All pictures that ``path`` stands for, none of one single value. Raises :class:`PictureError`."""
    with name_errors(path), _open_address(root, path) as (file, name, named):
        return list(_choose_frames(open_frames(file), name, named, view))


def read_one(root: PictureRoot, path: str, view: View) -> Shown:
    """The picture ``path``, one, also of one single value. Raises :class:`PictureError`."""
    with name_errors(path), _open_address(root, path) as (file, name, named):
        frames = open_frames(file)
        try:
            return next(_choose_frames(frames, name, named, view)).shown
        except ConstantPicture:
            number = named.numbers[0] if named else frames.first
            return frames.show_frame(number, named.plane if named else "", view)


def open_frames(file: BinaryIO) -> FrameFile:
    """The reader of a file, by its content. Raises :class:`PictureDefect`, or anything on a damaged file."""
    kind = detect_kind(file)
    # Loaded for the first such file: pydicom and nibabel take a second of CPU, and most processes of a run see none.
    if kind == "nifti":
        from mics_ray.models.pictures.nifti import NiftiFile

        return NiftiFile(file)
    if kind == "dicom":
        from mics_ray.models.pictures.dicom import DicomFile

        return DicomFile(file)
    return PlainFile(kind, file)


@contextmanager
def _open_address(root: PictureRoot, path: str) -> Iterator[tuple[BinaryIO, str, Frames | None]]:
    """The file that ``path`` names, its own path and the frames behind it; a file that is so called comes first."""
    name, named = split_address(path)
    try:
        file = open_picture(root, path)
        name, named = path, None
    except PictureDefect as defect:
        if str(defect) != NO_FILE:
            raise
        if named is None:
            _refuse_other_frames(root, path)
            raise
        file = open_picture(root, name)
    with file:
        yield file, name, named


def _refuse_other_frames(root: PictureRoot, path: str) -> None:
    """Raises :class:`PictureDefect` where a file is there, and what stands behind its ``#`` names no frames."""
    name, mark, rest = path.rpartition("#")
    if not mark or "/" in rest:
        return
    try:
        open_picture(root, name).close()
    except PictureDefect:
        return
    raise PictureDefect(
        f"no frames behind its #: write 42, 10-40 or 10-40:5 (from 1, {MAX_NAMED} at most) or coronal:42"
    )


def _choose_frames(frames: FrameFile, name: str, named: Frames | None, view: View) -> Iterator[NamedPicture]:
    if named is None and view.frames is not None and frames.count > 1:
        last = frames.count_frames(view.frames.plane)
        there = tuple(number for number in view.frames.numbers if number <= last)
        if not there:
            raise PictureDefect(f"none of its {last} frames is among pictures.frames")
        named = Frames(there, view.frames.plane)
    if named is None:
        yield _choose_one(frames, name, view)
        return
    last = frames.count_frames(named.plane)
    for number in named.numbers:
        if number > last:
            raise PictureDefect(f"frame {number} of a file of {last}")
        shown = frames.show_frame(number, named.plane, view)
        if shown.constant:
            raise ConstantPicture(f"frame {number} is of one single value")
        yield NamedPicture(f"{name}#{named.name_frame(number)}", shown, frames.count)


def _choose_one(frames: FrameFile, name: str, view: View) -> NamedPicture:
    """The first frame, or another that holds more than one single value."""
    tried = _list_tries(frames)
    for number in tried:
        shown = frames.show_frame(number, "", view)
        if not shown.constant:
            return NamedPicture(name if number == 1 else f"{name}#{number}", shown, frames.count)
    looked = f"in each of {len(tried)} frames looked at " if frames.count > 1 else ""
    raise ConstantPicture(f"{looked}of one single value")


def _list_tries(frames: FrameFile) -> Sequence[int]:
    """Where to look: the first, the middle, then spread over the file."""
    if frames.count == 1:
        return [1]
    spread = [1 + at * (frames.count - 1) // (MOST_TRIED - 1) for at in range(MOST_TRIED)]
    return list(dict.fromkeys([frames.first, 1 + frames.count // 2, *spread]))[:MOST_TRIED]
