"""What models see of DICOM and files of several frames: padding, CT windows, spacing, frames, constant pictures."""

import io
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from mics_ray.config.schema import PicturesConfig
from mics_ray.models.pictures import reading
from mics_ray.models.pictures.dicom import DicomFile
from mics_ray.models.pictures.file_formats import PictureError
from mics_ray.models.pictures.frame_files import read_pictures
from mics_ray.models.pictures.windows import AUTO, View, read_view
from tests.support.dicom_files import dicom_file

CT = {"Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024, "BitsStored": 16, "HighBit": 15}


def view(window: str = "auto", frames: Any = "auto") -> View:
    return read_view(PicturesConfig(window=window, frames=frames))


def greys(folder: Path, stored: NDArray[Any], seen: View = AUTO, name: str = "a.dcm", **elements: Any) -> list[int]:
    dicom_file(folder / "a.dcm", stored.reshape(1, -1), **elements)
    return [int(value) for value in np.asarray(reading.load_picture(folder, name, seen))[0, :, 0]]


def test_padding_is_black_and_no_part_of_the_window(tmp_path: Path) -> None:
    """FIELD: int16 CT, padding -32768, no window."""
    hounsfield = np.array([-32768, -800, 40, 90, 1000], np.int16)
    stored = np.where(hounsfield == -32768, -32768, hounsfield + 1024).astype(np.int16)
    shown = greys(tmp_path, stored, PixelPaddingValue=-32768, **CT)
    assert shown[0] == 0
    assert shown[1] == 0
    assert shown[3] - shown[2] == 32, "50 of 400 HU"
    assert shown[4] == 255
    mr = {"Modality": "MR", "BitsStored": 16, "HighBit": 15}
    values = np.array([-2000, -1990, 0, 100, 200], np.int16)
    assert greys(tmp_path, values, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1980, **mr) == [0, 0, 0, 127, 255]
    inverted = greys(tmp_path, values, PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1", **mr)
    assert (inverted[0], inverted[1], inverted[4]) == (0, 255, 0)


def test_a_ct_without_window_shows_soft_tissue_unless_it_holds_none(tmp_path: Path) -> None:
    stored = np.array([-160, 40, 240, 2000], np.int16) + 1024
    assert greys(tmp_path, stored, **CT) == [0, 128, 255, 255]
    assert greys(tmp_path, stored, **CT | {"RescaleType": "US"})[:2] == [0, 128], "a word that says nothing"
    assert greys(tmp_path, stored, **CT | {"RescaleType": "MGML"}) == [0, 24, 47, 255], "another unit: by its values"
    assert greys(tmp_path, stored, **CT | {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})[1] == 24
    assert greys(tmp_path, stored, **CT | {"RescaleSlope": None}) == [0, 24, 47, 255], "not in HU"
    assert greys(tmp_path, np.array([100, 200, 300], np.int16), **CT) == [0, 127, 255], "lung alone"
    assert greys(tmp_path, stored, WindowCenter=840, WindowWidth=2001, **CT)[1] < 30, "its own window comes first"


def test_windows_can_be_chosen(tmp_path: Path) -> None:
    stored = np.array([-1000, -600, 40, 240], np.int16) + 1024
    two = {"WindowCenter": [40, -600], "WindowWidth": [400, 1500], **CT}
    assert greys(tmp_path, stored, **two) == [0, 0, 128, 255]
    assert greys(tmp_path, stored, view("file:2"), **two)[:2] == [60, 128]
    assert greys(tmp_path, stored, view("file:3"), **two) == greys(tmp_path, stored, **two), "it has no third"
    assert greys(tmp_path, stored, view("-600/1500"), **two)[:2] == [60, 128]
    assert greys(tmp_path, np.array([-900, -100], np.int16), view("file:2"), Modality="MR") == [0, 255]


@pytest.mark.parametrize("window", ["40", "40/0", "40/-3", "soft", "file:0", "nan/3", "40/inf", ""])
def test_a_window_that_is_none_is_refused(window: str) -> None:
    with pytest.raises(ValueError, match=r"^window: "):
        view(window)


@pytest.mark.parametrize("frames", ["0", "5-3", "all", None, True, "1-500", "1:2"])
def test_frames_that_are_none_are_refused(frames: Any) -> None:
    with pytest.raises(ValueError, match=r"^frames: "):
        view(frames=frames)


def test_pixels_become_square(tmp_path: Path) -> None:
    values = np.arange(128 * 256, dtype=np.uint16).reshape(128, 256)

    def size(**elements: Any) -> tuple[int, int]:
        dicom_file(tmp_path / "a.dcm", values, **elements)
        return reading.load_picture(tmp_path, "a.dcm").size

    assert size(PixelSpacing=[2, 1]) == (256, 256)
    assert size(ImagerPixelSpacing=[0.5, 1]) == (512, 128)
    assert size(PixelAspectRatio=[4, 3]) == (256, 171)
    assert size(PixelSpacing=[1, 1], PixelAspectRatio=[4, 3]) == (256, 128), "a measure comes first"
    for odd in ([0, 1], [1], "", [1e9, 1]):
        assert size(PixelSpacing=odd) == (256, 128)
    measures, group = Dataset(), Dataset()
    measures.PixelSpacing = [2, 1]
    group.PixelMeasuresSequence = [measures]
    assert size(SharedFunctionalGroupsSequence=[group]) == (256, 256)


def volume(folder: Path, frames: int, empty: set[int]) -> None:
    """A cine whose frame n (from 1) is 10 n on the left and 0 on the right, or empty."""
    values = np.zeros((frames, 8, 8), np.uint8)
    for number in range(1, frames + 1):
        values[number - 1, :, :4] = 0 if number in empty else 10 * number
    dicom_file(folder / "a.dcm", values, NumberOfFrames=frames)


def seen(folder: Path, path: str, how: View = AUTO) -> dict[str, int]:
    return {one.name: one.shown.image.getpixel((0, 0))[0] for one in read_pictures(folder, path, how)}  # type: ignore[index]


def test_frames_are_named_chosen_and_never_of_one_single_value(tmp_path: Path) -> None:
    volume(tmp_path, 9, set())
    assert seen(tmp_path, "a.dcm") == {"a.dcm": 10}
    assert seen(tmp_path, "a.dcm#4") == {"a.dcm#4": 40}
    assert seen(tmp_path, "a.dcm#2-8:3") == {"a.dcm#2": 20, "a.dcm#5": 50, "a.dcm#8": 80}
    assert seen(tmp_path, "a.dcm", view(frames="7-12")) == {"a.dcm#7": 70, "a.dcm#8": 80, "a.dcm#9": 90}
    assert seen(tmp_path, "a.dcm#1", view(frames=3)) == {"a.dcm#1": 10}, "what the path names comes first"
    assert next(iter(read_pictures(tmp_path, "a.dcm", AUTO))).count == 9
    for path, how in (("a.dcm#10", AUTO), ("a.dcm#8-10", AUTO), ("a.dcm", view(frames=12))):
        with pytest.raises(PictureError, match="frame"):
            read_pictures(tmp_path, path, how)
    with pytest.raises(PictureError, match="a plane is named"):
        read_pictures(tmp_path, "a.dcm#coronal:3", AUTO)
    volume(tmp_path, 9, {1, 5})
    assert seen(tmp_path, "a.dcm") == {"a.dcm#2": 20}, "another frame, and the name says so"
    with pytest.raises(PictureError, match="frame 5 is of one single value") as refused:
        read_pictures(tmp_path, "a.dcm#5", AUTO)
    assert refused.value.constant
    with pytest.raises(PictureError, match="frame 5"):
        reading.check_picture(tmp_path, "a.dcm#5")
    volume(tmp_path, 40, set(range(1, 41)))
    with pytest.raises(PictureError, match="in each of 32 frames looked at of one single value"):
        read_pictures(tmp_path, "a.dcm", AUTO)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP"])
def test_a_picture_of_one_single_value_is_not_searched(tmp_path: Path, form: str) -> None:
    Image.new("RGB", (64, 64), (255, 255, 255)).save(tmp_path / "a", form)
    for look in (reading.check_picture, lambda root, path: reading.load_for_roles(root, [path], {"all": 64})):
        with pytest.raises(PictureError, match="of one single value"):
            look(tmp_path, "a")
    assert reading.load_picture(tmp_path, "a").size == (64, 64), "an export of earlier rows still reads it"


def test_padding_alone_is_nothing_to_see(tmp_path: Path) -> None:
    values = np.full((4, 4), 700, np.int16)
    values[0] = -2000
    dicom_file(tmp_path / "a.dcm", values, PixelPaddingValue=-2000)
    with pytest.raises(PictureError, match="of one single value"):
        read_pictures(tmp_path, "a.dcm", AUTO)


def test_pages_of_a_tiff_and_frames_of_an_animation(tmp_path: Path) -> None:
    pages = [Image.linear_gradient("L").resize((16, 16)).point(lambda v, n=n: v // n) for n in (1, 2, 4)]
    for form in ("TIFF", "GIF", "WEBP", "PNG"):
        options = {"lossless": True} if form == "WEBP" else {}
        pages[0].save(tmp_path / "a", form, save_all=True, append_images=pages[1:], **options)
        (third,) = read_pictures(tmp_path, "a#3", AUTO)
        assert (third.name, third.count) == ("a#3", 3)
        assert np.abs(np.asarray(third.shown.image)[..., 0] - np.asarray(pages[2], int)).max() <= 2, form


def test_what_names_no_frames_of_a_file_that_is_there_is_told_from_a_file_that_is_not(tmp_path: Path) -> None:
    Image.linear_gradient("L").save(tmp_path / "a.png")
    for frames in ("", "0", "9-3", "3,5", "1-200", "oblique:3", "-1", "1.5"):
        with pytest.raises(PictureError, match=r"picture 'a.png#.*': no frames behind its #: write 42, 10-40 or"):
            reading.load_picture(tmp_path, f"a.png#{frames}")
    for path in ("b.png#0", "b.png#1", "b.png", "a.png#x/y"):
        with pytest.raises(PictureError, match="no such file"):
            reading.load_picture(tmp_path, path)


def test_a_file_that_is_called_like_a_frame_is_that_file(tmp_path: Path) -> None:
    Image.linear_gradient("L").save(tmp_path / "scan#2", "PNG")
    (found,) = read_pictures(tmp_path, "scan#2", AUTO)
    assert (found.name, found.count) == ("scan#2", 1)
    reading.check_picture(tmp_path, "scan#2")


def test_names_match_in_both_normal_forms(tmp_path: Path) -> None:
    for kept, asked in (("NFD", "NFC"), ("NFC", "NFD")):
        folder = tmp_path / kept / unicodedata.normalize(kept, "Müller")
        folder.mkdir(parents=True)
        Image.linear_gradient("L").save(folder / unicodedata.normalize(kept, "größe é.png"))
        reading.load_picture(tmp_path / kept, unicodedata.normalize(asked, "Müller/größe é.png"))


def test_extreme_shapes_and_large_chunks_are_read(tmp_path: Path) -> None:
    wide = Image.linear_gradient("L").resize((5000, 4)).convert("RGB")
    for form in ("JPEG", "PNG"):
        wide.save(tmp_path / "a", form)
        reading.check_picture(tmp_path, "a")
        assert reading.decode_picture(reading.encode_picture(reading.load_picture(tmp_path, "a"), 512)).size == (512, 1)
    text = __import__("PIL.PngImagePlugin", fromlist=["PngInfo"]).PngInfo()
    text.add_text("note", "x" * 2_000_000, zip=False)
    wide.save(tmp_path / "b.png", icc_profile=bytes(range(256)) * 8000, pnginfo=text)
    assert np.array_equal(np.asarray(reading.load_picture(tmp_path, "b.png")), np.asarray(wide))


def test_avif_is_read_and_heic_is_named(tmp_path: Path) -> None:
    Image.linear_gradient("L").save(tmp_path / "a.avif")
    assert reading.load_picture(tmp_path, "a.avif").size == (256, 256)
    data = (tmp_path / "a.avif").read_bytes()
    # Some encoders name the container first and AVIF among the compatible brands.
    size = int.from_bytes(data[:4], "big")
    (tmp_path / "b.avif").write_bytes(data[:8] + b"mif1" + data[12:16] + b"avif" + data[20:size] + data[size:])
    assert reading.load_picture(tmp_path, "b.avif").size == reading.load_picture(tmp_path, "a.avif").size
    for brands, said in (
        (b"heic\0\0\0\0mif1heic", r"a HEIC picture, .*\(pillow-heif does\)"),
        (b"mif1\0\0\0\0mif1heix", "a HEIC picture"),
        (b"isom\0\0\2\0isomiso2avc1mp41", "a video"),
        (b"qt  \0\0\0\0qt  ", "a video"),
    ):
        (tmp_path / "a.heic").write_bytes((8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands + bytes(200))
        with pytest.raises(PictureError, match=said):
            reading.load_picture(tmp_path, "a.heic")


def test_headers_that_are_odd_or_missing(tmp_path: Path) -> None:
    values = np.linspace(0, 4000, 64).astype(np.uint16).reshape(8, 8)
    dicom_file(tmp_path / "a.dcm", values, WindowCenter="", RescaleSlope="", PixelPaddingValue=None)
    plain = np.asarray(reading.load_picture(tmp_path, "a.dcm"))
    data = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "b.dcm").write_bytes(data[132:])  # no preamble
    assert np.array_equal(np.asarray(reading.load_picture(tmp_path, "b.dcm")), plain)
    start = data.index(b"\x08\0\x16\0UI")
    (tmp_path / "c.dcm").write_bytes(data[start:])  # nor a meta header: the encoding is inferred
    assert np.array_equal(np.asarray(reading.load_picture(tmp_path, "c.dcm")), plain)
    dicom_file(tmp_path / "d.dcm", values, BitsStored=None)
    with pytest.raises(PictureError, match="DICOM header"):
        reading.load_picture(tmp_path, "d.dcm")
    assert DicomFile(io.BytesIO(data)).count == 1
