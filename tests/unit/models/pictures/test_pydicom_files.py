"""The files that pydicom and pydicom-data ship: right against pydicom's own functions, or refused by a true reason."""

from pathlib import Path
from typing import Any

import data_store
import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from mics_ray.models.pictures.file_formats import PictureError
from mics_ray.models.pictures.frame_files import read_one
from mics_ray.models.pictures.windows import AUTO

pytestmark = pytest.mark.heavy

LARGE = 600 << 10
"""Bytes; larger files are of kinds that smaller ones show, too."""
TRUE_REASONS = (
    "no pixel data in the DICOM file",
    "the DICOM header has no ",
    "the DICOM header's NumberOfFrames is no number",
    "its pixel data are shorter than the header says",
    "the pixel data are of another size than the header",  # JPEG2000-embedded-sequence-delimiter: so its stream says
    "needs pylibjpeg-libjpeg (GPL)",
    "not a PNG, JPEG, TIFF, WebP, GIF, BMP, AVIF, DICOM or NIfTI file",
)


def shipped() -> list[Path]:
    roots = [Path(pydicom.__file__).parent / "data", Path(data_store.__file__).parent]
    files = [path for root in roots for path in sorted(root.rglob("*")) if path.is_file()]
    # The hundreds of small files of the DICOMDIR examples are headers without pixels, all alike.
    return [
        path
        for path in files
        if path.suffix not in (".py", ".pyc", ".json", ".md", ".txt", ".icc", ".dump", ".gz", "")
        and path.stat().st_size < LARGE
    ]


def decode(path: Path) -> tuple[Any, Any] | None:
    """The header and the first frame by pydicom itself; ``None`` where it has none."""
    data = pydicom.dcmread(path, force=True)
    if not data.file_meta.get("TransferSyntaxUID"):
        implicit, little = data.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    try:
        frames = data.pixel_array
    except Exception:
        return None
    return data, frames[0] if int(data.get("NumberOfFrames") or 1) > 1 else frames


def window_by_pydicom(data: Any, stored: Any) -> Any | None:
    """0 to 255 by pydicom's modality and VOI functions; ``None`` without a window or table at the top level."""
    if stored.ndim != 2 or not (data.get("VOILUTSequence") or data.get("WindowCenter") is not None):
        return None
    shown = np.asarray(apply_voi_lut(apply_modality_lut(stored, data), data, prefer_lut=True), float)
    if data.get("VOILUTSequence"):
        low, high = 0, 2 ** int(data.VOILUTSequence[0].LUTDescriptor[2]) - 1
    else:
        bits, signed = int(data.BitsStored), int(data.PixelRepresentation)
        edges = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1])
        edges = apply_modality_lut(edges, data)
        low, high = edges.min(), edges.max()
    grey = (shown - low) / (high - low) * 255
    return 255 - grey if data.PhotometricInterpretation == "MONOCHROME1" else grey


def test_every_file_is_right_or_refused_by_a_true_reason() -> None:
    compared = refused = 0
    for path in shipped():
        found = decode(path)
        try:
            seen = read_one(path.parent, path.name, AUTO)
        except PictureError as error:
            assert any(reason in str(error) for reason in TRUE_REASONS), error  # noqa: PT017 - of many files
            assert found is None, f"{path.name} is read by pydicom"
            refused += 1
            continue
        if found is None:
            continue
        wanted = window_by_pydicom(*found)
        if wanted is None or seen.image.size != wanted.shape[::-1]:
            continue
        shown = np.asarray(seen.image, float)[..., 0]
        padding = found[0].get("PixelPaddingValue")
        outside = np.ones(shown.shape, bool) if padding is None else found[1] != padding
        assert np.abs(shown - wanted)[outside].max() <= 1.01, path.name
        compared += 1
    assert compared >= 15
    assert refused >= 30


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
def test_the_package_that_is_missing_is_named(name: str) -> None:
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    with pytest.raises(PictureError, match=r"compressed as JPEG Extended .*: needs pylibjpeg-libjpeg \(GPL\)"):
        read_one(folder, name, AUTO)


def test_jpeg_lossless_is_decoded_apart_and_a_spoilt_stream_ends_no_process(tmp_path: Path) -> None:
    """GDCM aborts the process that it runs in; a worker would be lost with its cases."""
    whole = (Path(pydicom.__file__).parent / "data" / "test_files" / "SC_rgb_jpeg_gdcm.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(whole)
    assert read_one(tmp_path, "a.dcm", AUTO).image.size == (100, 100)
    start = whole.index(b"\xff\xda")
    (tmp_path / "b.dcm").write_bytes(whole[: start + 2] + b"\0\0\xff" * ((len(whole) - start - 2) // 3))
    with pytest.raises(PictureError, match=r"compressed as JPEG Lossless.*cannot be decoded|cut short"):
        read_one(tmp_path, "b.dcm", AUTO)
