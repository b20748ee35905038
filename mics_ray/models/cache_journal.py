"""Whether SQLite would read all of a write-ahead journal: it takes what follows a damaged frame for never written."""

import struct
from pathlib import Path

_HEAD, _FRAME = struct.Struct(">8I"), struct.Struct(">6I")
_BIG_ENDIAN = 0x377F0683
_MASK = 0xFFFFFFFF


def lost_commits(journal: Path) -> int:
    """Commits that lie behind a frame whose checksum is wrong; a torn end, which nobody was promised, has none."""
    if not journal.exists() or journal.stat().st_size < _HEAD.size:
        return 0
    with journal.open("rb") as file:
        head = file.read(_HEAD.size)
        magic, _, page, _, salt, other, first, second = _HEAD.unpack(head)
        order = ">" if magic == _BIG_ENDIAN else "<"
        running, lost = _sum((0, 0), head[:24], order), 0
        whole = running == (first, second)
        while len(frame := file.read(_FRAME.size + page)) == _FRAME.size + page:
            _, size, one, two, first, second = _FRAME.unpack_from(frame)
            if (one, two) != (salt, other):
                break  # left over from before the journal began anew
            if whole:
                running = _sum(_sum(running, frame[:8], order), frame[_FRAME.size :], order)
                whole = running == (first, second)
            lost += not whole and size > 0
    return lost


def _sum(start: tuple[int, int], data: bytes, order: str) -> tuple[int, int]:
    """SQLite's running checksum."""
    first, second = start
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for one, two in zip(words, words, strict=True):
        first = (first + one + second) & _MASK
        second = (second + two + first) & _MASK
    return first, second
