"""Files at addresses: object stores and whatever else pyarrow or fsspec opens (``s3://``, ``gs://``, ``hf://``, …).

Keys and endpoints come from the environment, as each store documents them; an address that holds a key is refused, as
addresses are written into configurations and logs.
"""

import io
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

READ_AHEAD = 4 * 2**20
"""Bytes of one request to a store."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)


class StorageError(ValueError):
    """An address cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Location:
    """A file system, a path in it, and how an address of it begins and ends."""

    system: Any
    path: str
    scheme: str
    query: str

    def make_address(self, path: str) -> str:
        """The address of another path of the same file system."""
        return f"{self.scheme}://{path}{self.query}"


def is_address(text: str) -> bool:
    """Whether ``text`` is an address and not a path on this machine."""
    return _ADDRESS.match(text) is not None


@lru_cache(maxsize=256)
def locate_address(address: str) -> Location:
    """The file system of an address. Raises :class:`StorageError`."""
    # Here and below: who reads files of this machine only need not load it.
    import pyarrow as pa
    from pyarrow import fs

    parts = urlsplit(address)
    query = address[address.index("?") :] if "?" in address else ""
    if parts.password or "secret" in query.lower():
        raise StorageError(f"{parts.scheme}://…: holds a key; give it in the environment")
    try:
        system, path = fs.FileSystem.from_uri(address)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        system, path = _ask_fsspec(address)
    except OSError as error:
        raise StorageError(f"{address}: cannot be reached ({_shorten(error)})") from None
    return Location(system, path.rstrip("/"), parts.scheme, query)


def open_address(address: str) -> BinaryIO:
    """A file at an address, seekable, read ahead. Raises ``OSError``, :class:`StorageError`."""
    place = locate_address(address)
    return cast(BinaryIO, io.BufferedReader(place.system.open_input_file(place.path), READ_AHEAD))


def read_object(address: str, most: int) -> bytes:
    """A whole object, of ``most`` bytes at most; the store's client tries a broken connection again.

    Raises ``FileNotFoundError``, ``OSError``, :class:`StorageError`.
    """
    place = locate_address(address)
    with place.system.open_input_file(place.path) as file:
        size = file.size()
        if size > most:
            raise StorageError(f"more than {most >> 20} MB")
        data = bytes(file.read(size))
    if len(data) < size:
        raise OSError("cut short")
    return data


def read_object_size(address: str) -> int | None:
    """Bytes of a file at an address; ``None`` where there is none. Raises ``OSError``, :class:`StorageError`."""
    place = locate_address(address)
    info = place.system.get_file_info(place.path)
    return int(info.size) if info.is_file else None


def is_address_folder(address: str) -> bool:
    """Whether files lie below an address. Raises ``OSError``, :class:`StorageError`."""
    place = locate_address(address)
    return bool(place.system.get_file_info(place.path).type.name == "Directory")


def list_address(address: str, recursive: bool) -> list[str]:
    """The addresses of the files below one, sorted. Raises ``OSError``, :class:`StorageError`."""
    from pyarrow import fs

    place = locate_address(address)
    found = place.system.get_file_info(fs.FileSelector(place.path, recursive=recursive))
    return sorted(place.make_address(info.path) for info in found if info.is_file)


def split_address(address: str) -> tuple[str, str]:
    """An address as the one of its folder (with the query) and the name of the file."""
    bare, mark, query = address.partition("?")
    folder, _, name = bare.rpartition("/")
    return folder + mark + query, name


def join_address(folder: str, relative: str) -> str:
    """The address of ``relative`` below a folder."""
    bare, mark, query = folder.partition("?")
    return f"{bare.rstrip('/')}/{relative}{mark}{query}"


def _ask_fsspec(address: str) -> tuple[Any, str]:
    """For schemes that pyarrow does not know itself."""
    try:
        import fsspec
        from pyarrow import fs

        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise StorageError(f"{address}: {_shorten(error)}") from None
    except (ValueError, OSError) as error:
        raise StorageError(f"{address}: no such kind of address ({_shorten(error)})") from None
    return fs.PyFileSystem(fs.FSSpecHandler(system)), path


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
