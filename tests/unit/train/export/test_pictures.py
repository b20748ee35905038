import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mics_ray.errors import RefusedRun
from mics_ray.models.pictures.reading import load_picture
from tests.support.picture_stores import open_store
from tests.support.run_folders import noise
from train.export.config import ImageMode
from train.export.pictures import COPIED, RE_ENCODED, REFERENCED, Picture, check_picture_file

ORIENTATION = 0x0112


def grey16() -> Image.Image:
    return Image.fromarray(np.linspace(0, 4000, 64 * 64).reshape(64, 64).astype(np.uint16))


def rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return exif


def with_text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "a name")
    return info


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


PLAIN = {
    "rgb.png": encoded(noise(1), "PNG"),
    "grey.png": encoded(noise(1).convert("L"), "PNG"),
    "rgb.jpg": encoded(noise(1), "JPEG"),
    "misnamed.png": encoded(noise(1), "JPEG"),
}
OTHERS = {
    "deep.png": encoded(grey16(), "PNG"),
    "turned.jpg": encoded(noise(1), "JPEG", exif=rotated()),
    "turned.png": encoded(noise(1), "PNG", exif=rotated()),
    "clear.png": encoded(Image.new("RGBA", (9, 9), (255, 0, 0, 0)), "PNG"),
    "grey_clear.png": encoded(noise(1).convert("L"), "PNG", transparency=0),
    "palette.png": encoded(noise(1).convert("P"), "PNG"),
    "named.png": encoded(noise(1), "PNG", pnginfo=with_text()),
    "named.jpg": encoded(noise(1), "JPEG", comment=b"a name"),
    "cmyk.jpg": encoded(noise(1).convert("CMYK"), "JPEG"),
    "scan.tif": encoded(noise(1), "TIFF"),
    "page.webp": encoded(noise(1), "WEBP"),
    "film.gif": encoded(noise(1), "GIF", save_all=True, append_images=[noise(2)]),
}


def export(tmp_path: Path, name: str, data: bytes, mode: ImageMode = ImageMode.copy) -> tuple[Picture, Path]:
    """The exported picture, and the file that a trainer would open."""
    (tmp_path / name).write_bytes(data)
    with open_store(tmp_path / "export", mode) as store:
        picture = store.export_picture("r", tmp_path, name)
    return picture, tmp_path / "export" / picture.path


@pytest.mark.parametrize("name", [*PLAIN, *OTHERS])
@pytest.mark.parametrize("mode", ImageMode)
def test_a_trainer_reads_what_the_models_saw(tmp_path: Path, name: str, mode: ImageMode) -> None:
    picture, file = export(tmp_path, name, (PLAIN | OTHERS)[name], mode)
    read, seen = Image.open(file).convert("RGB"), load_picture(tmp_path, name)
    assert read.size == seen.size == picture.size
    assert read.tobytes() == seen.tobytes()


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_file_is_kept_byte_for_byte(tmp_path: Path, name: str) -> None:
    picture, file = export(tmp_path, name, PLAIN[name])
    assert picture.fate == COPIED
    assert file.read_bytes() == PLAIN[name]
    assert file.suffix == (".jpg" if PLAIN[name][0] == 0xFF else ".png")
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_file_is_referenced_where_it_lies(tmp_path: Path, name: str) -> None:
    picture, _ = export(tmp_path, name, PLAIN[name], ImageMode.reference)
    assert (picture.path, picture.fate) == (str(tmp_path / name), REFERENCED)
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("mode", ImageMode)
def test_any_other_file_becomes_a_bare_8_bit_png(tmp_path: Path, name: str, mode: ImageMode) -> None:
    picture, file = export(tmp_path, name, OTHERS[name], mode)
    assert picture.fate == RE_ENCODED
    with Image.open(file) as read:
        assert (read.format, read.mode, read.info) == ("PNG", "RGB", {})


def test_16_bit_values_are_windowed_and_not_clipped(tmp_path: Path) -> None:
    _, file = export(tmp_path, "deep.png", OTHERS["deep.png"])
    grey = np.asarray(Image.open(file))[..., 0]
    assert (grey.min(), grey.max()) == (0, 255)
    assert len(np.unique(grey)) > 200


def test_the_same_pixels_are_known_again_in_another_file(tmp_path: Path) -> None:
    first, _ = export(tmp_path, "rgb.png", PLAIN["rgb.png"])
    again, _ = export(tmp_path, "again.png", encoded(noise(1), "PNG", compress_level=0))
    other, _ = export(tmp_path, "other.png", encoded(noise(2), "PNG"))
    assert again.path != first.path
    assert again.digest == first.digest != other.digest


@pytest.mark.parametrize("data", [None, b"", b"no picture", PLAIN["rgb.png"][:900]])
def test_a_picture_that_cannot_be_used_is_refused_with_record_and_path(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "a.png").write_bytes(data)
    refused = pytest.raises(RefusedRun, match=r"record case-7: picture 'a\.png': .+image_root=")
    with open_store(tmp_path / "export") as store, refused:
        store.export_picture("case-7", tmp_path, "a.png")


def test_unused_pictures_are_removed_again(tmp_path: Path) -> None:
    for number in (1, 2):
        noise(number).save(tmp_path / f"{number}.png")
    with open_store(tmp_path / "export") as store:
        one, two = (store.export_picture("r", tmp_path, f"{number}.png") for number in (1, 2))
        store.drop_unused({one.path})
        assert store.count_fates({one.path}) == {COPIED: 1, REFERENCED: 0, RE_ENCODED: 0}
        assert store.export_picture("r", tmp_path, "1.png") == one
    assert (tmp_path / "export" / one.path).exists()
    assert not (tmp_path / "export" / two.path).exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("deep.png", "more than 8 bits"),
        ("turned.jpg", "rotated by Exif"),
        ("turned.png", "rotated by Exif"),
        ("gone.png", "is not there"),
        ("text.png", "cannot be read"),
    ],
)
def test_a_file_that_a_trainer_would_misread_is_named(tmp_path: Path, name: str, words: str) -> None:
    data = OTHERS.get(name, b"text" if name == "text.png" else None)
    if data is not None:
        (tmp_path / name).write_bytes(data)
    assert words in str(check_picture_file(tmp_path / name)[1])


@pytest.mark.parametrize("name", PLAIN)
def test_the_size_of_a_good_file_comes_from_its_header(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(PLAIN[name])
    assert check_picture_file(tmp_path / name) == ((60, 50), None)
