"""Slices of NIfTI volumes: which one, which way up, and their grey values."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from mics_ray.config.schema import PicturesConfig
from mics_ray.models.pictures.file_formats import PictureError
from mics_ray.models.pictures.frame_files import read_pictures
from mics_ray.models.pictures.reading import check_picture
from mics_ray.models.pictures.windows import AUTO, read_view

# Values that tell the place: x to the right, y to the front, z to the head.
SHAPE = (4, 5, 6)


def body() -> NDArray[np.int16]:
    x, y, z = np.indices(SHAPE)
    return (100 * x + 10 * y + z).astype(np.int16)


def save(path: Path, values: NDArray[Any], axes: str = "RAS", sides: tuple[float, ...] = (1, 1, 1)) -> None:
    """A volume stored with its axes in another order or direction."""
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(tuple(axes))
    )
    image = nibabel.Nifti1Image(values, np.diag([*sides, 1.0]))
    nibabel.save(image.as_reoriented(turn), path)


def corners(path: Path, address: str) -> list[int]:
    """The four corners of a slice, as ranks of its grey values, row by row."""
    (seen,) = read_pictures(path.parent, f"{path.name}{address}", AUTO)
    grey = np.asarray(seen.shown.image)[..., 0]
    return [int(v) for v in np.argsort(np.argsort([grey[0, 0], grey[0, -1], grey[-1, 0], grey[-1, -1]]))]


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PIR", "SAL"])
@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_slices_lie_as_radiologists_look_at_them_however_they_are_stored(tmp_path: Path, axes: str, name: str) -> None:
    path = tmp_path / name
    save(path, body(), axes)
    # Right of the patient (high x) on the left; front (high y) or head (high z) up.
    assert corners(path, "#3") == [3, 1, 2, 0]
    assert corners(path, "#coronal:2") == [3, 1, 2, 0]
    assert corners(path, "#sagittal:2") == [3, 1, 2, 0], "the front on the left, the head up"
    sizes = [read_pictures(tmp_path, f"{name}#{p}", AUTO)[0].shown.image.size for p in ("3", "coronal:2", "sagittal:2")]
    assert sizes == [(4, 5), (4, 6), (5, 6)]


def test_the_middle_slice_stands_for_a_volume_and_its_name_says_so(tmp_path: Path) -> None:
    save(tmp_path / "v.nii", body())
    assert check_picture(tmp_path, "v.nii") == 6
    (seen,) = read_pictures(tmp_path, "v.nii", AUTO)
    assert (seen.name, seen.count) == ("v.nii#4", 6)
    names = [one.name for one in read_pictures(tmp_path, "v.nii#coronal:1-5:2", AUTO)]
    assert names == ["v.nii#coronal:1", "v.nii#coronal:3", "v.nii#coronal:5"]
    some = read_view(PicturesConfig(frames="sagittal:3-9"))
    assert [one.name for one in read_pictures(tmp_path, "v.nii", some)] == ["v.nii#sagittal:3", "v.nii#sagittal:4"]
    for outside in ("#7", "#sagittal:5"):
        with pytest.raises(PictureError, match=r"of [46]"):
            read_pictures(tmp_path, f"v.nii{outside}", AUTO)


def test_a_volume_with_air_is_a_ct_and_pixels_become_square(tmp_path: Path) -> None:
    values = np.full(SHAPE, -1000, np.int16)
    values[1:3, 1:4] = 40
    values[2, 2] = 240
    save(tmp_path / "ct.nii.gz", values, sides=(1, 1, 3))
    (seen,) = read_pictures(tmp_path, "ct.nii.gz#3", AUTO)
    assert seen.shown.window == "40/400 HU"
    assert sorted(set(np.asarray(seen.shown.image)[..., 0].ravel().tolist())) == [0, 128, 255]
    (seen,) = read_pictures(tmp_path, "ct.nii.gz#coronal:3", AUTO)
    assert seen.shown.image.size == (4, 18)
    wide = read_view(PicturesConfig(window="-500/2000"))
    assert read_pictures(tmp_path, "ct.nii.gz#3", wide)[0].shown.window == "-500/2000"


def test_scaled_volumes_series_and_what_is_no_picture(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(body()[..., None].repeat(2, axis=3), np.eye(4))
    image.header.set_slope_inter(2.0, 5.0)
    nibabel.save(image, tmp_path / "series.nii")
    assert read_pictures(tmp_path, "series.nii#1", AUTO)[0].shown.window.startswith("values ")
    data = (tmp_path / "series.nii").read_bytes()
    (tmp_path / "cut.nii").write_bytes(data[:400])
    with pytest.raises(PictureError, match="cut short"):
        read_pictures(tmp_path, "cut.nii", AUTO)
    for kind in (np.dtype([(name, "u1") for name in "RGBA"]), np.complex64):
        nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, kind), np.eye(4)), tmp_path / "other.nii")
        with pytest.raises(PictureError, match="only RGB and grey ones are read"):
            read_pictures(tmp_path, "other.nii", AUTO)
    (tmp_path / "other.nii.gz").write_bytes(b"\x1f\x8b" + bytes(600))
    with pytest.raises(PictureError, match="not a PNG"):
        read_pictures(tmp_path, "other.nii.gz", AUTO)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SAL"])
def test_colours_are_shown_as_they_are(tmp_path: Path, axes: str) -> None:
    x, y, z = np.indices(SHAPE)
    colours = np.zeros(SHAPE, [(name, "u1") for name in "RGB"])
    colours["R"], colours["G"], colours["B"] = 60 * x, 50 * y, 40 * z
    colours[..., 0] = (9, 9, 9)
    save(tmp_path / "rgb.nii.gz", colours, axes, (1, 1, 2))
    (seen,) = read_pictures(tmp_path, "rgb.nii.gz#3", AUTO)
    assert (seen.shown.window, seen.shown.image.size) == ("", (4, 5))
    assert [seen.shown.image.getpixel(at) for at in ((0, 0), (3, 0), (0, 4))] == [
        (180, 200, 80),
        (0, 200, 80),
        (180, 0, 80),
    ]
    (seen,) = read_pictures(tmp_path, "rgb.nii.gz#coronal:2", AUTO)
    assert (seen.shown.image.size, seen.shown.image.getpixel((3, 0))) == ((4, 12), (0, 50, 200))
    assert read_pictures(tmp_path, "rgb.nii.gz", read_view(PicturesConfig(window="40/400")))[0].shown.window == ""
    with pytest.raises(PictureError, match="frame 1 is of one single value"):
        read_pictures(tmp_path, "rgb.nii.gz#1", AUTO)
