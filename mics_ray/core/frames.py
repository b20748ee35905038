"""Frames that a picture's path names: ``ct.dcm#42``, ``ct.dcm#10-40:5``, ``brain.nii.gz#coronal:90``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mics_ray.core.types import Case

MAX_NAMED = 100
"""Frames that one path may name."""
PLANES = ("axial", "coronal", "sagittal")
_FRAMES = re.compile(
    rf"(?:(?P<plane>{'|'.join(PLANES)}):)?(?P<first>[1-9]\d{{0,6}})(?:-(?P<last>[1-9]\d{{0,6}})(?::(?P<step>[1-9]\d{{0,6}}))?)?"
)
_ADDRESS = re.compile(r"(?P<file>.+)#(?P<frames>[^#/]+)", re.S)


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of one file, from 1, in the order in which they are shown. ``plane`` counts for volumes only."""

    numbers: tuple[int, ...]
    plane: str = ""

    def name_frame(self, number: int) -> str:
        """A frame as paths name it, behind the ``#``."""
        return f"{self.plane}:{number}" if self.plane else f"{number}"


def read_frames(text: str) -> Frames | None:
    """``42``, ``10-40``, ``10-40:5`` and any of them after a plane; ``None`` for other text, or for too many frames."""
    found = _FRAMES.fullmatch(text)
    if found is None:
        return None
    first, last = int(found["first"]), int(found["last"] or found["first"])
    numbers = range(first, last + 1, int(found["step"] or 1))
    return Frames(tuple(numbers), found["plane"] or "") if 0 < len(numbers) <= MAX_NAMED else None


def split_address(path: str) -> tuple[str, Frames | None]:
    """The file's path and the frames that stand behind its last ``#``, if any do."""
    found = _ADDRESS.fullmatch(path)
    frames = read_frames(found["frames"]) if found else None
    return (found["file"], frames) if found and frames else (path, None)


def label_frames(case: Case) -> Case:
    """The case with a line of its context for each picture that is one frame of a file: ``Picture 2: frame 15``.

    ``case.images`` name one frame each. A file's name is not told: it may name a patient or a diagnosis.
    """
    if lines := list_frame_labels(case.images):
        return replace(case, context="\n".join([*case.context.splitlines(), *lines]))
    return case


def list_frame_labels(images: Sequence[str]) -> list[str]:
    """A line for each picture that is one frame of a file."""
    named = ((place, split_address(path)[1]) for place, path in enumerate(images, start=1))
    return [f"Picture {place}: {_describe(frames)}" for place, frames in named if frames]


def _describe(frames: Frames) -> str:
    number = frames.numbers[0]
    return f"{frames.plane} slice {number}" if frames.plane else f"frame {number}"
