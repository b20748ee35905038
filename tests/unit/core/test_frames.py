"""Frames behind a picture's path, and what models are told of them."""

import pytest

from mics_ray.core.context import list_shown
from mics_ray.core.frames import Frames, label_frames, split_address
from mics_ray.core.types import Case


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/ct.dcm#42", ("a/ct.dcm", Frames((42,)))),
        ("ct.dcm#10-40:15", ("ct.dcm", Frames((10, 25, 40)))),
        ("ct#1-3", ("ct", Frames((1, 2, 3)))),
        ("v.nii.gz#coronal:7-8", ("v.nii.gz", Frames((7, 8), "coronal"))),
        ("x.parquet#3/1#2", ("x.parquet#3/1", Frames((2,)))),
        ("x.parquet#3/1", ("x.parquet#3/1", None)),
        ("ct.dcm#0", ("ct.dcm#0", None)),
        ("ct.dcm#4-2", ("ct.dcm#4-2", None)),
        ("ct.dcm#1-101", ("ct.dcm#1-101", None)),
        ("a#1.png", ("a#1.png", None)),
        ("#3", ("#3", None)),
    ],
)
def test_frames_stand_behind_the_last_number_sign(path: str, expected: tuple[str, Frames | None]) -> None:
    assert split_address(path) == expected


def test_each_frame_is_told_without_the_name_of_its_file() -> None:
    case = Case("c", "What is it?", "a", ("smith.dcm#10", "b.png", "v.nii#sagittal:3"), context="Age: 40")
    labelled = label_frames(case)
    assert labelled.context == "Age: 40\nPicture 1: frame 10\nPicture 3: sagittal slice 3"
    assert list_shown(labelled) == "age", "frames are no history"
    assert label_frames(Case("c", "Q?", "a", ("b.png",))).context == ""
