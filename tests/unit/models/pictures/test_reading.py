"""Pictures: right 8-bit RGB from every form (F32), refusals (F29-F31), nothing outside the folder (F33), encoding."""

import contextlib
import io
import os
import pickle
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from mics_ray.models.pictures import reading
from mics_ray.models.pictures.reading import PictureError
from tests.support.dicom_files import dicom_file

REPO = Path(__file__).parents[4]
SHARED = REPO.parent / "shared" / "data"
SIZE = 64


def ramp() -> NDArray[np.uint8]:
    """0..255 from left to right, with a bright square in the upper left corner, so that turns and flips show."""
    values = np.tile(np.linspace(0, 255, SIZE), (SIZE, 1))
    values[4:12, 4:12] = 255
    return values.round().astype(np.uint8)


def colours() -> Image.Image:
    grey = ramp()
    return Image.fromarray(np.stack([grey, grey[::-1], np.full_like(grey, 90)], axis=-1))


def assert_like(picture: Image.Image, golden: Any) -> None:
    """Mean difference at most one grey level."""
    assert picture.mode == "RGB"
    assert not picture.info
    wanted = np.asarray(golden if not isinstance(golden, Image.Image) else golden.convert("RGB"), float)
    wanted = wanted if wanted.ndim == 3 else np.stack([wanted] * 3, axis=-1)
    assert np.asarray(picture).shape == wanted.shape
    assert np.abs(np.asarray(picture, float) - wanted).mean() <= 1


# ---- F32: every form gives the right RGB


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "GIF", "JPEG"])
def test_greyscale_in_every_format_and_under_a_wrong_name(tmp_path: Path, form: str) -> None:
    options: dict[str, Any] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98}}.get(form, {})
    Image.fromarray(ramp()).save(tmp_path / "a.txt", form, **options)
    assert_like(reading.load_picture(tmp_path, "a.txt"), ramp())
    reading.check_picture(tmp_path, "a.txt")


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
def test_tiff_compressions(tmp_path: Path, compression: str | None) -> None:
    Image.fromarray(ramp()).save(
        tmp_path / "a.tif", compression=compression, **({"quality": 98} if compression == "jpeg" else {})
    )
    assert_like(reading.load_picture(tmp_path, "a.tif"), ramp())


def test_only_the_first_page_of_a_tiff(tmp_path: Path) -> None:
    pages = [Image.new("L", (SIZE, SIZE), 10 * n) for n in range(3)]
    Image.fromarray(ramp()).save(tmp_path / "a.tif", save_all=True, append_images=pages)
    assert_like(reading.load_picture(tmp_path, "a.tif"), ramp())


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_is_windowed(tmp_path: Path, name: str, bits: int) -> None:
    values = (ramp().astype(np.uint32) * (2**bits - 1) // 255).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    assert_like(reading.load_picture(tmp_path, name), ramp())


def test_32_bit_and_float_and_negative_values(tmp_path: Path) -> None:
    Image.fromarray(ramp().astype(np.int32) * 16 - 1024).save(tmp_path / "i.tif")
    broken = ramp().astype(np.float32) / 255
    broken[60, 60], broken[60, 61] = np.nan, np.inf
    Image.fromarray(broken).save(tmp_path / "f.tif")
    assert_like(reading.load_picture(tmp_path, "i.tif"), ramp())
    assert_like(reading.load_picture(tmp_path, "f.tif"), ramp())


def test_big_endian_and_white_is_zero_16_bit_tiff(tmp_path: Path) -> None:
    values = ramp().astype(">u2") * 257
    entries = [(256, 3, SIZE), (257, 3, SIZE), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 3, 200), (278, 3, SIZE)]
    for order, photometric, golden in ((">", 1, ramp()), ("<", 0, 255 - ramp())):
        tags = b""
        for tag, kind, value in [*entries, (279, 4, values.nbytes)]:
            value = photometric if tag == 262 else value
            tags += struct.pack(order + "HHI" + ("HH" if kind == 3 else "I"), tag, kind, 1, *((value, 0)[: 5 - kind]))
        head = (b"MM" if order == ">" else b"II") + struct.pack(order + "HIH", 42, 8, len(entries) + 1)
        data = values.astype(order + "u2").tobytes()
        (tmp_path / "a.tif").write_bytes((head + tags + bytes(4)).ljust(200, b"\0") + data)
        assert_like(reading.load_picture(tmp_path, "a.tif"), golden)


def test_a_few_hot_pixels_do_not_darken_the_picture_and_a_flat_one_loads(tmp_path: Path) -> None:
    values = ramp().astype(np.uint16) * 16
    values[63, :3] = 65535
    Image.fromarray(values).save(tmp_path / "hot.png")
    Image.fromarray(np.full((8, 8), 700, np.uint16)).save(tmp_path / "flat.png")
    assert_like(reading.load_picture(tmp_path, "hot.png"), ramp())
    assert reading.load_picture(tmp_path, "flat.png").size == (8, 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(tmp_path: Path, orientation: int) -> None:
    turned = {
        1: (),
        2: (Image.Transpose.FLIP_LEFT_RIGHT,),
        3: (Image.Transpose.ROTATE_180,),
        4: (Image.Transpose.FLIP_TOP_BOTTOM,),
        5: (Image.Transpose.TRANSPOSE,),
        6: (Image.Transpose.ROTATE_270,),
        7: (Image.Transpose.TRANSVERSE,),
        8: (Image.Transpose.ROTATE_90,),
    }
    picture = colours().resize((64, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.jpg", "a.png", "a.tif", "a.webp"):
        picture.save(tmp_path / name, exif=exif, **({"lossless": True} if name == "a.webp" else {}))
        plain = Image.open(tmp_path / name) if name == "a.jpg" else picture
        golden = plain.convert("RGB")
        for turn in turned[orientation]:
            golden = golden.transpose(turn)
        assert_like(reading.load_picture(tmp_path, name), golden)


def test_cmyk_palette_bilevel(tmp_path: Path) -> None:
    colours().convert("CMYK").save(tmp_path / "cmyk.tif")
    colours().convert("CMYK").save(tmp_path / "cmyk.jpg", quality=98)
    palette = colours().quantize(64)
    palette.save(tmp_path / "p.png")
    palette.save(tmp_path / "p.gif")
    bilevel = Image.fromarray(ramp()).convert("1")
    bilevel.save(tmp_path / "1.png")
    assert_like(reading.load_picture(tmp_path, "cmyk.tif"), colours())
    assert np.abs(np.asarray(reading.load_picture(tmp_path, "cmyk.jpg"), float) - np.asarray(colours())).mean() < 3
    assert_like(reading.load_picture(tmp_path, "p.png"), palette)
    assert_like(reading.load_picture(tmp_path, "p.gif"), palette)
    assert_like(reading.load_picture(tmp_path, "1.png"), bilevel)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_white(tmp_path: Path, mode: str) -> None:
    golden = colours() if mode == "RGBA" else Image.fromarray(ramp()).convert("RGB")
    alpha = Image.new("L", golden.size, 255)
    alpha.paste(0, (0, 32, 64, 64))
    if mode == "P":
        picture: Image.Image = Image.fromarray(ramp()).convert("P")
        picture.paste(0, (0, 32, 64, 64))
        picture.save(tmp_path / "a.png", transparency=0)
        golden.paste("white", (0, 0, 1, 64))  # the ramp's black column has the transparent colour too
    else:
        picture = golden.convert(mode)
        picture.putalpha(alpha)
        picture.save(tmp_path / "a.png")
    golden.paste("white", (0, 32, 64, 64))
    assert_like(reading.load_picture(tmp_path, "a.png"), golden)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame(tmp_path: Path, form: str) -> None:
    options: dict[str, Any] = {"lossless": True} if form == "WEBP" else {}
    frames = [Image.new("L", (SIZE, SIZE), 255 - n) for n in range(3)]
    Image.fromarray(ramp()).save(tmp_path / "a", form, save_all=True, append_images=frames, **options)
    assert_like(reading.load_picture(tmp_path, "a"), ramp())


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless])
def test_dicom_rescaled_and_windowed(tmp_path: Path, syntax: str) -> None:
    stored = (ramp().astype(np.int16) * 8) - 24
    dicom_file(
        tmp_path / "a.png",
        stored,
        syntax,
        RescaleSlope=2,
        RescaleIntercept=-1000,
        WindowCenter=[40, 500],
        WindowWidth=[400, 2000],
    )
    units = stored.astype(float) * 2 - 1000
    golden = np.clip(((units - 39.5) / 399 + 0.5) * 255, 0, 255)
    assert_like(reading.load_picture(tmp_path, "a.png"), golden)


def test_dicom_without_a_window_is_not_clipped(tmp_path: Path) -> None:
    dicom_file(tmp_path / "a.dcm", ramp().astype(np.uint16) * 16, BitsStored=12, HighBit=11)
    assert_like(reading.load_picture(tmp_path, "a.dcm"), ramp())


def test_dicom_monochrome1_is_inverted(tmp_path: Path) -> None:
    dicom_file(tmp_path / "a.dcm", ramp().astype(np.uint16) * 16, PhotometricInterpretation="MONOCHROME1")
    assert_like(reading.load_picture(tmp_path, "a.dcm"), 255 - ramp())


def test_dicom_rgb_and_plain_8_bit(tmp_path: Path) -> None:
    dicom_file(tmp_path / "rgb.dcm", np.asarray(colours()))
    dim = ramp() // 2
    dicom_file(tmp_path / "grey.dcm", dim)
    assert_like(reading.load_picture(tmp_path, "rgb.dcm"), colours())
    assert_like(reading.load_picture(tmp_path, "grey.dcm"), dim)


def test_dicom_first_frame(tmp_path: Path) -> None:
    frames = np.stack([ramp(), 255 - ramp(), ramp()])
    for syntax in (ExplicitVRLittleEndian, RLELossless):
        dicom_file(tmp_path / "a.dcm", frames, syntax, NumberOfFrames=3)
        assert_like(reading.load_picture(tmp_path, "a.dcm"), ramp())


@pytest.mark.parametrize(("form", "steep"), [("SIGMOID", False), ("LINEAR_EXACT", False), ("LINEAR", True)])
def test_dicom_window_functions(tmp_path: Path, form: str, steep: bool) -> None:
    stored = ramp().astype(np.uint16) * 16
    centre, width = (2000, 1) if steep else (2000, 1000)
    dicom_file(tmp_path / "a.dcm", stored, VOILUTFunction=form, WindowCenter=centre, WindowWidth=width)
    shifted = (stored.astype(float) - centre) / width
    golden = {
        "SIGMOID": 255 / (1 + np.exp(np.clip(-4 * shifted, -50, 50))),
        "LINEAR_EXACT": np.clip((shifted + 0.5) * 255, 0, 255),
        "LINEAR": ramp().astype(float),  # a window of width 1 shows nothing; it is not used
    }[form]
    assert_like(reading.load_picture(tmp_path, "a.dcm"), golden)


def test_dicom_voi_table(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.LUTData = [65535 - 16 * n for n in range(4096)]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    dicom_file(tmp_path / "a.dcm", ramp().astype(np.uint16) * 16, BitsStored=12, HighBit=11, VOILUTSequence=[table])
    assert_like(reading.load_picture(tmp_path, "a.dcm"), 255 - ramp())


def test_dicom_window_of_an_enhanced_object(tmp_path: Path) -> None:
    window, values, group = Dataset(), Dataset(), Dataset()
    window.WindowCenter, window.WindowWidth = 0, 2000
    values.RescaleSlope, values.RescaleIntercept = 1, -1024
    group.FrameVOILUTSequence, group.PixelValueTransformationSequence = [window], [values]
    stored = ramp().astype(np.uint16) * 8
    dicom_file(tmp_path / "a.dcm", stored, SharedFunctionalGroupsSequence=[group])
    golden = np.clip((stored.astype(float) - 1024 + 0.5) / 1999 * 255 + 127.5, 0, 255)
    assert_like(reading.load_picture(tmp_path, "a.dcm"), golden)


@pytest.mark.parametrize(("syntax", "form"), [(JPEGBaseline8Bit, "JPEG"), (JPEG2000Lossless, "JPEG2000")])
def test_dicom_with_a_compressed_stream_and_one_that_lies_about_its_size(
    tmp_path: Path, syntax: str, form: str
) -> None:
    stream = io.BytesIO()
    Image.fromarray(ramp()).save(stream, form, **({"quality": 98} if form == "JPEG" else {"no_jp2": True}))
    dicom_file(tmp_path / "a.dcm", ramp(), syntax, PixelData=encapsulate([stream.getvalue()]))
    assert_like(reading.load_picture(tmp_path, "a.dcm"), ramp())
    dicom_file(tmp_path / "b.dcm", ramp(), syntax, PixelData=encapsulate([stream.getvalue()]), Rows=32)
    assert "another size" in refusal(tmp_path, "b.dcm")


def test_dicom_refusals_say_nothing_about_the_patient(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    data = dicom_file(tmp_path / "a.dcm", ramp())
    whole = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:-500])
    (tmp_path / "head.dcm").write_bytes(whole[:300])
    dicom_file(tmp_path / "big.dcm", ramp(), Rows=12_000, Columns=12_000)
    dicom_file(tmp_path / "odd.dcm", ramp(), PatientBirthDate="Canary", WindowCenter="1", WindowWidth="-1")
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.save_as(tmp_path / "deflated.dcm", enforce_file_format=True)
    reading.load_picture(tmp_path, "odd.dcm")
    told = {name: refusal(tmp_path, f"{name}.dcm") for name in ("cut", "head", "big")}
    assert "Canary" not in "".join(told.values())
    assert "12000 x 12000 pixels" in told["big"], "by its header, before its pixels are looked for"
    assert "shorter than the header says" in told["cut"]
    assert "no pixel data" in told["head"]
    assert_like(reading.load_picture(tmp_path, "deflated.dcm"), ramp())
    assert "Canary" not in caplog.text
    assert "Canary" not in "".join(capfd.readouterr())


# ---- F29-F31: refusals


def refusal(root: Path, relative: str) -> str:
    """The message with which ``load`` and ``check`` both refuse."""
    with pytest.raises(PictureError) as by_load:
        reading.load_picture(root, relative)
    with pytest.raises(PictureError) as by_check:
        reading.check_picture(root, relative)
    assert str(by_check.value) == str(by_load.value)
    assert by_load.value.__cause__ is None
    assert by_load.value.__suppress_context__
    assert str(pickle.loads(pickle.dumps(by_load.value))) == str(by_load.value)
    return str(by_load.value)


def test_missing_empty_text(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("the chest is clear\n" * 20)
    (tmp_path / "folder.png").mkdir()
    assert refusal(tmp_path, "gone.png") == "picture 'gone.png': no such file"
    assert refusal(tmp_path, "empty.png") == "picture 'empty.png': empty file"
    assert "not a PNG" in refusal(tmp_path, "text.png")
    assert "chest" not in refusal(tmp_path, "text.png")
    assert "not a regular file" in refusal(tmp_path, "folder.png")
    assert "not a path" in refusal(tmp_path, "text.png/inner.png")
    assert "not a path" in refusal(tmp_path, "a" * 5000)
    assert "\\ud800" in refusal(tmp_path, "\ud800.png")
    for nothing in ("", " ", ".", "a\0.png"):
        assert "not a" in refusal(tmp_path, nothing)
    for compression in (None, "tga_rle"):
        colours().save(tmp_path / "a.tga", compression=compression)
        assert "not a PNG, JPEG" in refusal(tmp_path, "a.tga")


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "GIF", "JPEG"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.95])
def test_cut_files(tmp_path: Path, form: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole", form)
    whole = (tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: int(len(whole) * kept)])
    assert refusal(tmp_path, "cut").startswith("picture 'cut': ")


def write_jpeg(mode: str, **options: Any) -> bytes:
    """A picture of noise: its data fill all of the file."""
    noise = np.random.default_rng(0).integers(0, 255, (4 * SIZE, 4 * SIZE, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(out, "JPEG", **options)
    return out.getvalue()


def damage_middle(jpeg: bytes) -> bytes:
    """A block of a disk that was never written; what is before and after it is there."""
    middle = len(jpeg) // 2
    return jpeg[:middle] + bytes(2000) + jpeg[middle + 2000 :]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str)
def test_a_jpeg_that_is_damaged_in_its_middle_is_no_picture(tmp_path: Path, mode: str, options: dict[str, Any]) -> None:
    (tmp_path / "whole.jpg").write_bytes(jpeg := write_jpeg(mode, **options))
    assert reading.load_picture(tmp_path, "whole.jpg").size == (4 * SIZE, 4 * SIZE)
    (tmp_path / "damaged.jpg").write_bytes(hurt := damage_middle(jpeg))
    Image.open(io.BytesIO(hurt)).load()  # Pillow says nothing
    assert "damaged (" in refusal(tmp_path, "damaged.jpg")


def test_what_stands_around_the_data_of_a_jpeg_does_no_harm(tmp_path: Path) -> None:
    jpeg = write_jpeg("RGB", comment=b"\xff\xff text", dpi=(72, 72))
    for number, file in enumerate((jpeg + b"\0" * 100, jpeg + jpeg, jpeg[:2] + b"\xff\xfe\0\4ab" + jpeg[2:])):
        (tmp_path / f"{number}.jpg").write_bytes(file)
        assert_like(reading.load_picture(tmp_path, f"{number}.jpg"), Image.open(io.BytesIO(jpeg)))
        assert reading.check_picture(tmp_path, f"{number}.jpg") == 1


def test_a_dicom_frame_whose_jpeg_is_damaged_is_no_picture(tmp_path: Path) -> None:
    grey = np.zeros((4 * SIZE, 4 * SIZE), np.uint8)
    for name, jpeg in (("whole", write_jpeg("L")), ("damaged", damage_middle(write_jpeg("L")))):
        dicom_file(tmp_path / f"{name}.dcm", grey, JPEGBaseline8Bit, PixelData=encapsulate([jpeg]))
    assert reading.load_picture(tmp_path, "whole.dcm").size == (4 * SIZE, 4 * SIZE)
    assert "damaged (" in refusal(tmp_path, "damaged.dcm")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_bytes_overwritten_anywhere_give_a_picture_or_a_picture_error(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    for form in ("PNG", "TIFF", "WEBP", "GIF", "JPEG", "DICOM"):
        if form == "DICOM":
            dicom_file(tmp_path / "whole", ramp())
        else:
            colours().resize((16, 16)).save(tmp_path / "whole", form)
        whole = (tmp_path / "whole").read_bytes()
        for _ in range(60):
            hurt = bytearray(whole)
            for at in draw.integers(0, min(len(whole), 600), 3):
                hurt[at] = draw.integers(0, 256)
            (tmp_path / "hurt").write_bytes(hurt)
            with contextlib.suppress(PictureError):
                assert reading.load_picture(tmp_path, "hurt").mode == "RGB"


@pytest.mark.parametrize("load", [reading.load_picture, reading.check_picture])
def test_a_tiff_that_leads_to_a_place_that_no_file_has_is_damaged(tmp_path: Path, load: Any) -> None:
    """The system calls that an invalid argument; it is no fault of the system."""
    (tmp_path / "far.tif").write_bytes(b"II+\0\x08\0\0\0" + (2**63 - 1).to_bytes(8, "little"))
    with pytest.raises(PictureError, match=r"'far\.tif': damaged"):
        load(tmp_path, "far.tif")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes, side: int = 8) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    pixels = zlib.compress(bytes((side // 8 + 1) * side - 1) + b"\x0f", 9)
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gif(frames: int, side: int = 8) -> bytes:
    one = Image.new("L", (8, 8))
    out = io.BytesIO()
    one.save(out, "GIF")
    data = out.getvalue()
    start = data.index(b",", 13 + 3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 13)
    head = data[:6] + struct.pack("<HH", side, side) + data[10:start]
    return head + data[start:-1] * frames + b";"


def jpeg_with_segments(count: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (8, 8)).save(out, "JPEG")
    data = out.getvalue()
    return data[:2] + (b"\xff\xe5\xff\xff" + bytes(0xFFFD)) * count + data[2:]


def webp(width: int, height: int) -> bytes:
    body = (
        b"VP8X"
        + struct.pack("<I", 10)
        + bytes(4)
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def tiff_with_a_huge_tile() -> bytes:
    entries = [
        (256, 8),
        (257, 8),
        (258, 8),
        (259, 5),
        (262, 1),
        (277, 1),
        (322, 12_000),
        (323, 12_000),
        (324, 8),
        (325, 8),
    ]
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + tags + bytes(4)


def dicom_head() -> bytes:
    out = io.BytesIO()
    dicom_file(out, ramp())
    data = out.getvalue()
    return data[: data.index(b"\xe0\x7f\x10\x00")]


INFLATES = zlib.compress(bytes(80 << 20), 1)
"""More than may be held in memory, by a little only: deflating it is most of this test's time."""
BOMBS = {
    "png_144_megapixels": lambda: png(side=12_000),
    "png_text_bomb": lambda: png(chunk(b"zTXt", b"k\0\0" + INFLATES)),
    "png_profile_bomb": lambda: png(chunk(b"iCCP", b"k\0\0" + INFLATES)),
    "png_long_text": lambda: png(chunk(b"tEXt", b"k\0" + b"x" * (100 << 20))),
    "png_many_texts": lambda: png(chunk(b"tEXt", b"k\0x") * 300_000),
    "png_frames": lambda: png(chunk(b"acTL", struct.pack(">II", 10_000, 0))),
    "gif_10000_frames": lambda: gif(10_000),
    "gif_huge_canvas": lambda: gif(1, side=60_000),
    "jpeg_many_segments": lambda: jpeg_with_segments(1_000),
    "jpeg_tiny_segments": lambda: b"\xff\xd8" + b"\xff\xe5\x00\x02" * 900_000 + jpeg_with_segments(0)[2:],
    "tiff_many_tags": lambda: b"II*\0" + struct.pack("<IH", 8, 65_000) + struct.pack("<HHII", 700, 4, 1, 9) * 65_000,
    "dicom_many_elements": lambda: dicom_head() + struct.pack("<HH2sHH", 9, 16, b"US", 2, 0) * 1_000_000,
    "dicom_long_element": lambda: (
        dicom_head() + struct.pack("<HH2sHI", 40, 0x3010, b"UN", 0, 99 << 20) + bytes(99 << 20)
    ),
    "webp_huge_canvas": lambda: webp(16_000, 16_000),
    "tiff_huge_tile": tiff_with_a_huge_tile,
}

MEASURE = """
import sys, time
from pathlib import Path
from mics_ray.models.pictures import reading

def kilobytes(field):  # not getrusage: its peak is inherited from the parent process
    return int(Path("/proc/self/status").read_text().split(field + ":")[1].split()[0])

root = Path(sys.argv[1])
for call in (reading.load_picture, reading.check_picture):
    for harmless in ("warm.png", "warm.dcm"):
        call(root, harmless)
for name in sys.argv[2:]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is held
    before = kilobytes("VmRSS")
    best = 9.0
    for call in (reading.check_picture, reading.load_picture, reading.load_picture):
        start = time.process_time()
        try:
            call(root, name)
            print(name, "accepted")
        except reading.PictureError as error:
            assert name in str(error)
        best = min(best, time.process_time() - start)
    print(name, best, (kilobytes("VmHWM") - before) / 1024)
"""


def test_bombs_are_refused_in_100_ms_and_64_mb(tmp_path: Path) -> None:
    (tmp_path / "warm.png").write_bytes(png())
    dicom_file(tmp_path / "warm.dcm", ramp())
    for name, make in BOMBS.items():
        (tmp_path / name).write_bytes(make())
    assert (tmp_path / "png_144_megapixels").stat().st_size < 20_000
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", MEASURE, str(tmp_path), *BOMBS], cwd=REPO, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    lines = [line.split() for line in run.stdout.splitlines() if not line.endswith("accepted")]
    assert [line[0] for line in lines] == list(BOMBS), run.stdout
    accepted = {line.split()[0] for line in run.stdout.splitlines() if line.endswith("accepted")}
    assert accepted == {"png_text_bomb", "png_profile_bomb"}, "texts and profiles are skipped, not inflated"
    for name, seconds, megabytes in lines:
        assert float(seconds) < 0.1, f"{name} took {seconds} s"
        assert float(megabytes) <= 64, f"{name} took {megabytes} MB"


def test_a_file_of_more_than_256_mb_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "big.png").open("wb") as file:
        file.write(png())
        file.truncate((256 << 20) + 1)
    assert "more than 256 MB" in refusal(tmp_path, "big.png")


def test_the_limits_do_not_come_from_pillows_global(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bomb.png").write_bytes(png(side=12_000))
    (tmp_path / "fine.png").write_bytes(png(side=800))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert "12000 x 12000" in refusal(tmp_path, "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert reading.load_picture(tmp_path, "fine.png").size == (800, 800)


# ---- F33: nothing outside the folder

AUDIT = """
import os, sys
from pathlib import Path
from mics_ray.models.pictures import reading
root, outside = Path(sys.argv[1]), os.path.realpath(sys.argv[2])
opened = []
def note(event, args):
    if event == "open" and isinstance(args[0], (str, bytes, Path)):
        opened.append(os.fsdecode(args[0]))
sys.addaudithook(note)
reading.load_picture(root, "in.png"), reading.load_picture(root, "sub/link_in.png")
os.chdir(outside)
allowed = {str(root.resolve()), "in.png", "sub"}
assert set(opened) <= allowed and "in.png" in opened, opened
for path in sys.argv[3:]:
    opened.clear()
    for call in (reading.load_picture, reading.check_picture, lambda r, p: reading.load_case_pictures(r, [p], 64)):
        try:
            call(root, path)
            sys.exit(f"accepted: {path}")
        except reading.PictureError as error:
            assert repr(path) in str(error) and "damaged" not in str(error), error
    assert not opened, (path, opened)
"""


def test_nothing_outside_the_folder_is_opened(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    for path in (outside / "canary.png", root / "in.png"):
        Image.fromarray(ramp()).save(path)
    (root / "sub" / "link_in.png").symlink_to("../in.png")
    (root / "link.png").symlink_to(outside / "canary.png")
    (root / "relative_link.png").symlink_to("../outside/canary.png")
    (root / "linked_folder").symlink_to(outside)
    (root / "loop.png").symlink_to("loop.png")
    (root / "device.png").symlink_to("/dev/zero")
    os.mkfifo(root / "fifo.png")
    paths = [
        "../outside/canary.png",
        "sub/../../outside/canary.png",
        "sub/../in.png",
        str(outside / "canary.png"),
        f"file://{outside}/canary.png",
        "http://localhost/canary.png",
        "data:image/png;base64,AAAA",
        "link.png",
        "relative_link.png",
        "linked_folder/canary.png",
        "loop.png",
        "device.png",
        "fifo.png",
        "/dev/zero",
        "/dev/stdin",
        "sub",
        "~/canary.png",
    ]
    run = subprocess.run(
        [sys.executable, "-c", AUDIT, str(root), str(outside), *paths],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


def test_a_folder_swapped_for_a_link_after_the_check_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "sub", outside):
        folder.mkdir(parents=True)
        Image.fromarray(ramp()).save(folder / "a.png")
    checked = os.lstat

    def swap(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
        found = checked(path, *args, **kwargs)
        if str(path).endswith("sub/a.png") and not (root / "sub").is_symlink():
            (root / "sub").rename(root / "old")
            (root / "sub").symlink_to(outside)
        return found

    monkeypatch.setattr("mics_ray.models.pictures.file_formats.Path.lstat", lambda path: swap(path))
    with pytest.raises(PictureError):
        reading.load_picture(root, "sub/a.png")
    assert (root / "sub").is_symlink()


# ---- encoding, and the pictures of a case


def test_scaling_down_averages_what_it_leaves_out() -> None:
    fine = np.indices((256, 256)).sum(0) % 2 * 255
    made = reading.encode_picture(Image.fromarray(fine.astype(np.uint8)).convert("RGB"), 64)
    assert np.abs(np.asarray(reading.decode_picture(made), float) - 127.5).max() < 8, "a stray pixel would be 0 or 255"


def test_encode_scales_down_and_never_up() -> None:
    picture = colours().resize((600, 300))
    assert reading.decode_picture(reading.encode_picture(picture, 512)).size == (512, 256)
    assert reading.decode_picture(reading.encode_picture(picture, 2048)).size == (600, 300)
    assert reading.decode_picture(reading.encode_picture(picture.resize((3000, 2)), 300)).size == (300, 1)


def test_small_pictures_are_kept_exactly_and_large_ones_nearly() -> None:
    small = reading.encode_picture(colours(), 512)
    assert small.startswith(b"\x89PNG")
    assert np.array_equal(np.asarray(reading.decode_picture(small)), np.asarray(colours()))
    large = reading.encode_picture(colours().resize((512, 512), Image.Resampling.BICUBIC), 512)
    assert large.startswith(b"\xff\xd8\xff")
    assert_like(reading.decode_picture(large), colours().resize((512, 512), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("side", [64, 512])
def test_encoding_is_deterministic_and_carries_no_metadata(side: int) -> None:
    plain = colours().resize((side, side))
    told = plain.copy()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    told.info = {"comment": b"Canary", "icc_profile": profile, "exif": b"Exif\0\0Canary", "dpi": (300, 300)}
    before = dict(told.info)
    assert reading.encode_picture(told, 2048) == reading.encode_picture(plain, 2048)
    assert told.info == before


def test_pictures_of_a_case(tmp_path: Path) -> None:
    colours().resize((700, 350)).save(tmp_path / "a.png")
    Image.fromarray(ramp()).save(tmp_path / "b.png")
    pictures = reading.load_for_roles(
        tmp_path, ["a.png", "b.png"], {"mentor": 512, "intern": 2048, "other": 512}
    ).by_role
    mentor, intern = pictures["mentor"], pictures["intern"]
    assert mentor is not None
    assert intern is not None
    assert [reading.decode_picture(file).size for file in mentor.files] == [(512, 256), (64, 64)]
    assert [reading.decode_picture(file).size for file in intern.files] == [(700, 350), (64, 64)]
    assert mentor.digest != intern.digest
    assert pictures["other"] is mentor
    assert reading.load_case_pictures(tmp_path, ["a.png", "b.png"], 512) == (mentor, ("a.png", "b.png"))
    swapped, _ = reading.load_case_pictures(tmp_path, ["b.png", "a.png"], 512)
    assert swapped is not None
    assert swapped.digest != mentor.digest
    assert len(mentor.digest) == 64


def test_a_case_without_pictures_and_one_with_a_missing_one(tmp_path: Path) -> None:
    assert reading.load_case_pictures(tmp_path, [], 512) == (None, ())
    assert reading.load_for_roles(tmp_path, [], {"mentor": 1, "intern": 2}).by_role == {"mentor": None, "intern": None}
    with pytest.raises(PictureError, match=r"gone\.png"):
        reading.load_case_pictures(tmp_path, ["gone.png"], 512)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared sample data are not here")
def test_the_real_pictures_load() -> None:
    paths = [str(p.relative_to(SHARED)) for p in SHARED.rglob("*") if p.suffix in (".png", ".jpeg")]
    assert len(paths) >= 20
    for path in paths:
        reading.check_picture(SHARED, path)
        picture = reading.load_picture(SHARED, path)
        assert np.asarray(picture).std() > 5  # neither black nor white


def test_a_lab_picture_is_refused_by_name(tmp_path: Path) -> None:
    Image.new("LAB", (8, 8)).save(tmp_path / "a.tif")
    assert "LAB" in refusal(tmp_path, "a.tif")


def test_check_is_no_slower_than_load(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (900, 900, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg", quality=90)

    def seconds(call: Any) -> float:
        start = time.process_time()
        call(tmp_path, "a.jpg")
        return time.process_time() - start

    assert min(seconds(reading.check_picture) for _ in range(3)) < min(seconds(reading.load_picture) for _ in range(3))


def test_the_size_of_an_encoded_picture_is_read_from_its_head() -> None:
    assert reading.read_encoded_size(reading.encode_picture(Image.new("RGB", (60, 40)), 512)) == (60, 40)


@pytest.mark.parametrize(("side", "magic"), [(256, b"\x89PNG"), (257, b"\xff\xd8\xff")])
def test_the_largest_picture_that_is_kept_exactly(side: int, magic: bytes) -> None:
    assert reading.encode_picture(colours().resize((side, 8)), 2048).startswith(magic)
    assert reading.encode_picture(colours().resize((8, side)), 2048).startswith(magic)


def test_a_jpeg_keeps_its_colours_and_is_of_quality_92() -> None:
    picture = colours().resize((300, 300))
    reference = io.BytesIO()
    picture.save(reference, "JPEG", quality=92, subsampling="4:4:4")
    assert reading.encode_picture(picture, 2048) == reference.getvalue()


def test_a_tiffs_tile_is_held_against_the_limit_by_its_own_size(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff_with_a_huge_tile())
    assert "12000 x 12000 pixels" in refusal(tmp_path, "a.tif")


def test_the_digest_of_pictures_knows_where_one_file_ends() -> None:
    made = [reading._bundle_pictures(files) for files in ([b"ab", b"c"], [b"a", b"bc"], [b"abc"], [b"c", b"ab"])]
    assert len({pictures.digest for pictures in made if pictures is not None}) == 4
