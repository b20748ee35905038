"""Windows by the number: which grey values become black and white, and what lies between them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from mics_ray.models.pictures import reading
from mics_ray.models.pictures.windows import choose_window, scale_to_8_bit
from tests.support.dicom_files import dicom_file

BITS_12 = {"BitsStored": 12, "HighBit": 11}


def greys(folder: Path, stored: NDArray[Any], **elements: Any) -> list[int]:
    """The grey levels that one row of stored values is shown at."""
    dicom_file(folder / "a.dcm", stored.reshape(1, -1), **elements)
    return [int(value) for value in np.asarray(reading.load_picture(folder, "a.dcm"))[0, :, 0]]


def picture_of(background: tuple[float, float], odd: float) -> NDArray[np.float64]:
    """10,000 values from one end of ``background`` to the other, and 30 (0.3 %) at ``odd``."""
    return np.concatenate([np.linspace(*background, 9970), np.full(30, odd)])


def test_a_small_bright_lesion_keeps_its_grey_levels() -> None:
    values = picture_of((0, 1000), 1370)
    assert choose_window(values) == (0, 1370)
    grey = scale_to_8_bit(values, choose_window(values))
    assert int(grey[-1]) - int(grey[9969]) == 69, "cut off at the percentile it would differ by one or none"


@pytest.mark.parametrize("odd", [2500.0, 60_000.0, -1500.0])
def test_ends_that_take_up_more_than_half_of_the_range_are_cut_off(odd: float) -> None:
    values = picture_of((0, 1000), odd)
    assert choose_window(values) == pytest.approx(tuple(np.percentile(values, (0.5, 99.5))))
    assert 990 < choose_window(values)[1] - choose_window(values)[0] < 1000


def test_ends_that_take_up_half_of_the_range_are_not_cut_off() -> None:
    values = np.array([0.0] * 500 + [1000.0] * 499 + [2000.0])
    assert choose_window(values) == (0, 2000)
    values[-1] = 2001
    assert choose_window(values) == (0, 1000)


def test_a_picture_that_is_all_but_flat_keeps_what_there_is() -> None:
    values = np.array([7.0] * 9999 + [9.0])
    assert choose_window(values) == (7, 9), "the percentiles are one value, which would leave no window at all"


def test_values_that_are_no_numbers_set_no_window_and_are_black() -> None:
    values = np.array([np.nan, 10.0, np.inf, 20.0, -np.inf])
    assert choose_window(values) == (10, 20)
    assert list(scale_to_8_bit(values, (10, 20))[[0, 1, 3, 4]]) == [0, 0, 255, 0]
    assert choose_window(np.array([np.nan])) == (0, 0)


def test_a_large_picture_is_scaled_in_all_of_its_blocks() -> None:
    values = np.arange(3 << 20, dtype=np.uint32).reshape(3, -1)
    grey = scale_to_8_bit(values, (0, (3 << 20) - 1))
    wanted = np.floor(values * (255 / ((3 << 20) - 1)) + 0.5)
    assert grey.shape == values.shape
    assert np.array_equal(grey, wanted)


def test_a_window_without_width_is_black() -> None:
    assert list(scale_to_8_bit(np.array([1, 2, 3]), (2, 2))) == [0, 0, 0]


def test_a_linear_window_by_the_standards_formula(tmp_path: Path) -> None:
    """PS3.3 C.11.2.1.2: 4.5 to both sides are not 5 to both sides."""
    shown = greys(tmp_path, np.arange(6, 14, dtype=np.uint16), WindowCenter=10, WindowWidth=5, **BITS_12)
    assert shown == [0, 0, 32, 96, 159, 223, 255, 255]


def test_a_linear_exact_window_and_one_of_a_single_value(tmp_path: Path) -> None:
    exact = {"VOILUTFunction": "LINEAR_EXACT", "WindowCenter": 10, **BITS_12}
    assert greys(tmp_path, np.arange(7, 14, dtype=np.uint16), WindowWidth=4, **exact) == [0, 0, 64, 128, 191, 255, 255]
    assert greys(tmp_path, np.arange(8, 13, dtype=np.uint16), WindowWidth=1, **exact) == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("form", ["SIGMOID", "LINEAR_EXACT", "LINEAR"])
@pytest.mark.parametrize("width", ["0", "0.5", "-300"])
def test_a_window_without_width_is_not_used(tmp_path: Path, form: str, width: str) -> None:
    stored = np.linspace(0, 4095, 16).astype(np.uint16)
    plain = greys(tmp_path, stored, **BITS_12)
    assert plain[0] == 0
    assert plain[-1] == 255
    assert greys(tmp_path, stored, VOILUTFunction=form, WindowCenter="2000", WindowWidth=width, **BITS_12) == plain


def test_a_linear_window_of_width_one_is_not_used_and_of_width_two_is(tmp_path: Path) -> None:
    stored = np.linspace(0, 4095, 16).astype(np.uint16)
    plain = greys(tmp_path, stored, **BITS_12)
    assert greys(tmp_path, stored, WindowCenter=2000, WindowWidth=1, **BITS_12) == plain
    assert set(greys(tmp_path, stored, WindowCenter=2000, WindowWidth=2, **BITS_12)) == {0, 255}


@pytest.mark.parametrize("missing", ["WindowCenter", "WindowWidth"])
def test_half_a_window_is_none(tmp_path: Path, missing: str) -> None:
    stored = np.linspace(0, 4095, 16).astype(np.uint16)
    half = {"WindowCenter": 100, "WindowWidth": 50, missing: ""}
    assert greys(tmp_path, stored, **half, **BITS_12) == greys(tmp_path, stored, **BITS_12)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_of_8_and_of_16_bits(tmp_path: Path, bits: int) -> None:
    scale = 1 if bits == 8 else 257
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, levels in (("Red", [0, 85, 170, 255]), ("Green", [255, 170, 85, 0]), ("Blue", [10, 10, 10, 10])):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [4, 0, bits]
        table = np.array(levels, f"<u{bits // 8}") * scale
        elements[f"{colour}PaletteColorLookupTableData"] = table.astype(f"<u{bits // 8}").tobytes()
    dicom_file(tmp_path / "a.dcm", np.arange(4, dtype=np.uint8).reshape(1, 4), **elements)
    shown = np.asarray(reading.load_picture(tmp_path, "a.dcm"))[0]
    assert shown.tolist() == [[0, 255, 10], [85, 170, 10], [170, 85, 10], [255, 0, 10]]


def test_colours_of_few_bits_have_their_full_scale(tmp_path: Path) -> None:
    values = np.array([[[0, 1024, 4095]] * 2], np.uint16)
    dicom_file(tmp_path / "a.dcm", values, **BITS_12)
    assert np.asarray(reading.load_picture(tmp_path, "a.dcm"))[0, 0].tolist() == [0, 64, 255]


@pytest.mark.parametrize("group", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_the_window_of_the_first_frame_of_an_enhanced_object(tmp_path: Path, group: str) -> None:
    frames = []
    for centre in (10, 3000):
        window, frame = Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = centre, 5
        frame.FrameVOILUTSequence = [window]
        frames.append(frame)
    shown = greys(tmp_path, np.arange(6, 14, dtype=np.uint16), **{group: frames}, **BITS_12)
    assert shown == [0, 0, 32, 96, 159, 223, 255, 255]


@pytest.mark.parametrize("table", [True, False])
def test_the_first_of_several_compressed_frames(tmp_path: Path, table: bool) -> None:
    frames = []
    for level in (40, 200):
        stream = io.BytesIO()
        Image.new("L", (16, 16), level).save(stream, "JPEG", quality=98)
        frames.append(stream.getvalue())
    dicom_file(
        tmp_path / "a.dcm",
        np.zeros((2, 16, 16), np.uint8),
        JPEGBaseline8Bit,
        NumberOfFrames=2,
        PixelData=encapsulate(frames, has_bot=table),
    )
    assert np.asarray(reading.load_picture(tmp_path, "a.dcm"))[8, 8].tolist() == [40, 40, 40]


@pytest.mark.parametrize("told", [{}, {"NumberOfFrames": None}, {"NumberOfFrames": 1}])
def test_a_compressed_picture_that_does_not_say_how_many_frames_it_has(tmp_path: Path, told: dict[str, Any]) -> None:
    stream = io.BytesIO()
    Image.new("L", (16, 16), 40).save(stream, "JPEG", quality=98)
    pixels = encapsulate([stream.getvalue()], has_bot=False)
    dicom_file(tmp_path / "a.dcm", np.zeros((16, 16), np.uint8), JPEGBaseline8Bit, PixelData=pixels, **told)
    assert np.asarray(reading.load_picture(tmp_path, "a.dcm"))[8, 8].tolist() == [40, 40, 40]


def test_frames_of_several_fragments_are_told_apart_without_a_table(tmp_path: Path) -> None:
    """Each frame is cut into two fragments; how many frames there are is what says where the first one ends."""
    streams = []
    for level in (40, 200):
        stream = io.BytesIO()
        Image.new("L", (16, 16), level).save(stream, "JPEG2000", irreversible=False)
        streams.append(stream.getvalue() + b"\0" * (len(stream.getvalue()) % 2))
    pixels = encapsulate(streams, fragments_per_frame=2, has_bot=False)
    values = np.zeros((2, 16, 16), np.uint8)
    dicom_file(tmp_path / "a.dcm", values, JPEG2000Lossless, NumberOfFrames=2, PixelData=pixels)
    assert np.asarray(reading.load_picture(tmp_path, "a.dcm"))[8, 8].tolist() == [40, 40, 40]


def test_the_first_of_several_run_length_frames_without_a_table(tmp_path: Path) -> None:
    frames = np.stack([np.full((16, 16), level, np.uint8) for level in (40, 120, 200)])
    data = dicom_file(tmp_path / "a.dcm", frames, RLELossless, NumberOfFrames=3)
    streams = list(generate_frames(data.PixelData, number_of_frames=3))
    data.PixelData = encapsulate(streams, has_bot=False)
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert np.unique(np.asarray(reading.load_picture(tmp_path, "a.dcm"))).tolist() == [40]


def test_a_lookup_table_of_8_bits_reaches_white(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor = [4, 0, 8]
    table.LUTData = np.array([0, 85, 170, 255], "<u2").tobytes()
    assert greys(tmp_path, np.arange(4, dtype=np.uint8), VOILUTSequence=[table]) == [0, 85, 170, 255]


def test_fewer_bits_than_8_and_rescaled_values_of_8_bits_are_windowed(tmp_path: Path) -> None:
    stored = np.array([0, 21, 42, 63], np.uint8)
    assert greys(tmp_path, stored, BitsStored=6, HighBit=5) == [0, 85, 170, 255]
    assert greys(tmp_path, stored) == [0, 21, 42, 63], "8 bits are shown as they are"
    assert greys(tmp_path, stored, RescaleSlope=2, RescaleIntercept=-100) == [0, 85, 170, 255]


def test_a_window_function_that_is_there_and_empty_is_linear(tmp_path: Path) -> None:
    stored = np.linspace(0, 4095, 16).astype(np.uint16)
    window = {"WindowCenter": 2000, "WindowWidth": 1, "VOILUTFunction": ""}
    assert greys(tmp_path, stored, **window, **BITS_12) == greys(tmp_path, stored, **BITS_12)
