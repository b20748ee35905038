"""What a DICOM file says of its pixels, as ``dcmread(force=True)`` reads it: with or without preamble and meta header.

Private and descriptive elements are skipped, not read.
"""

import io
import logging
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import pydicom
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.values import converters

from mics_ray.models.pictures.file_formats import PictureDefect
from mics_ray.models.pictures.size_limits import MAX_WHOLE_BYTES, HeaderReader, require_size

# What pydicom has to say about a value quotes the value, which is a patient's.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"pydicom\b")

_PIXEL_DATA = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_GROUP_ITEMS = ("PixelValueTransformationSequence", "FrameVOILUTSequence", "PixelMeasuresSequence")
_WANTED = [
    Tag(name)
    for name in (*_GROUPS, "Modality", "SOPClassUID", "ImageType", "ImagerPixelSpacing", "NominalScannedPixelSpacing",
                 "ExtendedOffsetTable", "ExtendedOffsetTableLengths")
]  # fmt: skip
_PIXEL_GROUP = [Tag(tag) for tag in pydicom.datadict.DicomDictionary if tag >> 16 == 0x0028]
_NEEDED = ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation")
_PIXEL_VRS = ("OB", "OW", "OF", "OD", "OV", "UN")
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class PixelPlace:
    """Where the pixel data lie: the element's keyword and VR, its announced length; the file stands at its value."""

    keyword: str
    vr: str | None
    length: int

    @property
    def is_encapsulated(self) -> bool:
        """Whether the element is a sequence of fragments."""
        return self.length == _UNDEFINED


def read_header(file: BinaryIO) -> tuple[Any, PixelPlace, BinaryIO]:
    """The elements that matter, the place of the pixels, and the file at their value (an inflated one where deflated).

    Raises :class:`PictureDefect`, or what pydicom raises on a damaged file.
    """
    header = HeaderReader(file)
    read_preamble(header, force=True)
    meta = read_dataset(header, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    read_dataset(header, True, True, stop_when=lambda tag, vr, length: tag.group != 0)  # a command set
    syntax = UID(str(meta.get("TransferSyntaxUID") or "")) or _guess_encoding(header)
    if syntax == DeflatedExplicitVRLittleEndian:
        file = _inflate(file)
        header, syntax = HeaderReader(file), ExplicitVRLittleEndian
    data = read_dataset(
        header,
        syntax.is_implicit_VR,
        syntax.is_little_endian,
        stop_when=lambda tag, vr, length: int(tag) in _PIXEL_DATA,
        specific_tags=[*_WANTED, *_PIXEL_GROUP],
    )
    place = _read_place(header, syntax)
    meta.TransferSyntaxUID = syntax
    data.file_meta = meta
    for name in _NEEDED:
        if data.get(name) in (None, ""):
            raise PictureDefect(f"the DICOM header has no {name}")
    require_size(read_whole(data, "Columns"), read_whole(data, "Rows"))
    header.lift_limit()
    return data, place, file


def read_whole(data: Any, name: str, missing: int = 0) -> int:
    """A whole number of the header; ``missing`` where it is not there. Raises :class:`PictureDefect`."""
    value = data.get(name)
    if value in (None, ""):
        return missing
    try:
        return int(value)
    except (TypeError, ValueError):
        raise PictureDefect(f"the DICOM header's {name} is no number") from None


def merge_groups(data: Any, number: int) -> Any:
    """The header as it counts for frame ``number`` (from 1): enhanced objects keep window, rescaling, spacing apart."""
    merged = copy_elements(data)
    for group, at in zip(_GROUPS, (0, number - 1), strict=True):
        for item in (data.get(group) or [])[at : at + 1]:
            for inner in _GROUP_ITEMS:
                merged.update(item[inner][0] if inner in item and len(item[inner].value) else {})
    return merged


def copy_elements(data: Any) -> Any:
    """A data set of the same elements, which may be changed; tables in it are read by the file's byte order."""
    copied = pydicom.Dataset()
    copied.update(data)
    copied.set_original_encoding(*data.original_encoding, data.original_character_set)
    copied.file_meta = data.file_meta
    return copied


def _guess_encoding(header: HeaderReader) -> UID:
    """The transfer syntax of a file that tells none, from its first element; of these none is compressed."""
    head = header.read(6)
    header.seek(-len(head), 1)
    if len(head) < 6:
        raise PictureDefect("no pixel data in the DICOM file")
    group, _, vr = struct.unpack("<HH2s", head)
    if vr.decode("latin-1") not in converters:
        return ImplicitVRLittleEndian
    return ExplicitVRBigEndian if group >= 1024 else ExplicitVRLittleEndian


def _inflate(file: BinaryIO) -> BinaryIO:
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), MAX_WHOLE_BYTES + 1)
    if len(inflated) > MAX_WHOLE_BYTES:
        raise PictureDefect(f"deflated from more than {MAX_WHOLE_BYTES >> 20} MB")
    return io.BytesIO(inflated)


def _read_place(header: HeaderReader, syntax: UID) -> PixelPlace:
    order = "<" if syntax.is_little_endian else ">"
    head = header.read(8)
    if len(head) < 8:
        raise PictureDefect("no pixel data in the DICOM file")
    group, element = struct.unpack_from(f"{order}HH", head)
    vr = head[4:6].decode("latin-1")
    # Some files are encoded without VRs although their transfer syntax has them; pydicom reads these, too.
    implicit = syntax.is_implicit_VR or vr not in _PIXEL_VRS
    length = struct.unpack(f"{order}L", head[4:] if implicit else header.read(4))[0]
    return PixelPlace(_PIXEL_DATA[group << 16 | element], None if implicit else vr, length)
