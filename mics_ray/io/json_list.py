"""Records of a JSON file: the elements of its one list, one by one, however long the list is.

The standard library reads JSON only whole. Here brackets, quotes and commas are enough to find where an element
starts and ends; the element itself is left to the standard library.
"""

import mmap
import re
from collections.abc import Iterator
from itertools import islice

import numpy as np

from mics_ray.io import readers
from mics_ray.io.input_files import InputError, InputFile, open_mappable
from mics_ray.io.readers import BOM, Places, Raw, decode_record, too_long

# Possessive (*+): a string without an end fails at once instead of backtracking over the rest of the file.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[][{}",]', re.S)
_TOGETHER = 4096
# Anything but a blank.
_INK = re.compile(rb"\S")


def read_json(input_file: InputFile, start: int, first: int) -> Iterator[Raw]:
    """Elements from the one at byte ``start`` on (0: all), numbered from ``first``. Raises :class:`InputError`."""
    for position, (view, begin, end) in enumerate(_map_elements(input_file.path, start), first):
        if end - begin > readers.MAX_RECORD:
            yield too_long(position, begin)
        else:
            yield decode_record(position, begin, view[begin:end].strip())


def find_json(input_file: InputFile) -> Iterator[Places]:
    """Where each record that :func:`read_json` reads stands. Raises :class:`InputError`."""
    begins = (begin for _, begin, _ in _map_elements(input_file.path, 0))
    first = 1
    while starts := list(islice(begins, _TOGETHER)):
        yield np.arange(first, first + len(starts)), np.array(starts)
        first += len(starts)


def _map_elements(path: str, start: int) -> Iterator[tuple[mmap.mmap, int, int]]:
    with open_mappable(path) as file:  # mapped, so that only one element is in memory at a time
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    for begin, end in _find_elements(path, view, start or _list_start(path, view)):
        yield view, begin, end


def _list_start(path: str, view: mmap.mmap) -> int:
    """The offset behind the bracket that opens the list: the whole file, or a member of the one object."""
    depth = 0
    for token in _TOKEN.finditer(view):
        kind = view[token.start()]
        # Depth 0 is a bare list, depth 1 a member of the one object; deeper lists belong to records or metadata.
        if kind == ord("[") and depth <= 1:
            return token.end()
        depth += _depth_change(kind)
    raise InputError(f"{path}: holds no list of records; give a list, or an object with one list")


def _find_elements(path: str, view: mmap.mmap, begin: int) -> Iterator[tuple[int, int]]:
    """Where each element starts and ends, from the one at ``begin`` to the closing bracket."""
    depth = 0
    for token in _TOKEN.finditer(view, begin):
        at, kind = token.start(), view[token.start()]
        if _is_unclosed(kind, at, token.end()) or (depth == 0 and kind == ord("}")):
            break
        if depth == 0 and kind in b",]":
            # Between "[" and "]" of an empty list, and behind a trailing comma, there is no element.
            if kind == ord(",") or _INK.search(view, begin, at):
                yield begin, at
            begin = token.end()
            if kind == ord("]"):
                _check_tail(path, view, begin)
                return
        depth += _depth_change(kind)
    raise InputError(f"{path}: the list of records does not end; is the file whole?")


def _check_tail(path: str, view: mmap.mmap, end: int) -> None:
    """Refuse anything behind the list but the rest of its object: which list holds the cases is not ours to guess."""
    first = _INK.search(view, len(BOM) if view[: len(BOM)] == BOM else 0)
    depth = int(first is not None and first[0] == b"{")
    extra = depth == 0 and _INK.search(view, end) is not None
    for token in _TOKEN.finditer(view, end):
        kind = view[token.start()]
        # A second list beside the first could hold cases as well, and silently be left out.
        extra = extra or (kind == ord("[") and depth == 1)
        depth += _depth_change(kind)
    if extra or depth != 0:
        raise InputError(f"{path}: should hold one list of records and nothing behind it")


def _depth_change(kind: int) -> int:
    """What a token does to the depth."""
    return (kind in b"[{") - (kind in b"]}")


def _is_unclosed(kind: int, start: int, end: int) -> bool:
    """Whether a token is a quote that opens a string without an end."""
    return kind == ord('"') and end - start == 1
