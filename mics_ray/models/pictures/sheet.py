"""A contact sheet: pictures as they are sent, each with its words below."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from mics_ray.models.pictures.reading import decode_picture

COLUMNS = 4
_THUMB, _GAP, _LINE, _LINES = 150, 8, 14, 4
_TILE = (2 * _THUMB + 3 * _GAP, _THUMB + 2 * _GAP + _LINES * _LINE)
_LETTERS = _TILE[0] // 7  # of a line


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture: its files as mentors and as interns get them, and at most three lines of words."""

    mentor: bytes
    intern: bytes
    words: tuple[str, ...]


def draw_sheet(tiles: Sequence[Tile]) -> bytes:
    """A PNG of all tiles, mentors' on the left and interns' on the right of each; the sizes sent stand below."""
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * _TILE[0], max(1, rows) * _TILE[1]), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for place, tile in enumerate(tiles):
        left, top = (place % COLUMNS) * _TILE[0], (place // COLUMNS) * _TILE[1]
        sizes = [_paste(sheet, data, left + _GAP + at * (_THUMB + _GAP), top + _GAP) for at, data in _sides(tile)]
        sent = "mentor {}x{}, intern {}x{}".format(*sizes[0], *sizes[1])
        for line, words in enumerate([*tile.words[: _LINES - 1], sent]):
            at = (left + _GAP, top + _THUMB + int(1.5 * _GAP) + line * _LINE)
            pen.text(at, words if len(words) <= _LETTERS else f"…{words[-_LETTERS:]}", "black", font)
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def _sides(tile: Tile) -> Sequence[tuple[int, bytes]]:
    return (0, tile.mentor), (1, tile.intern)


def _paste(sheet: Image.Image, data: bytes, left: int, top: int) -> tuple[int, int]:
    """Put a thumbnail onto the sheet; returns the size of the picture."""
    image = decode_picture(data)
    scale = _THUMB / max(image.size)
    small = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    sheet.paste(small, (left, top))
    ImageDraw.Draw(sheet).rectangle((left - 1, top - 1, left + small.width, top + small.height), outline="gray")
    return image.size
