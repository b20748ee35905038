"""Files at addresses: object stores and whatever else pyarrow or fsspec opens (``s3://``, ``gs://``, ``hf://``, …).

Keys and endpoints come from the environment, as each store documents them; an address that holds a key is refused, as
addresses are written into configurations and logs. An address holds an object's name as it is: nothing in it is
decoded, and ``#`` is a letter like any other; ``?`` begins the options.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO, cast
from urllib.parse import quote

READ_AHEAD = 4 * 2**20
"""Bytes of one request to a store."""
GS_RETRY_S = 60
"""Seconds for which Google's client tries a request again; its own 15 minutes look like a program that hangs."""
_OF_ARROW = ("file", "s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)


class StorageError(ValueError):
    """An address cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Location:
    """A file system and a path in it."""

    system: Any
    path: str


def is_address(text: str) -> bool:
    """Whether ``text`` is an address and not a path on this machine."""
    return _ADDRESS.match(text) is not None


@lru_cache(maxsize=256)
def locate_address(address: str) -> Location:
    """The file system of an address. Raises :class:`StorageError`."""
    # Here and below: who reads files of this machine only need not load it.
    import pyarrow as pa
    from pyarrow import fs

    scheme, bare, query = _split_parts(address)
    authority, slash, name = bare.partition("/")
    if ":" in authority.rpartition("@")[0] or "secret" in query.lower():
        raise StorageError(f"{scheme}://…: holds a key; give it in the environment")
    if scheme not in _OF_ARROW:
        return _ask_fsspec(address)
    if scheme in ("gs", "gcs") and "retry_limit_seconds" not in query:
        query += f"{'&' if query else '?'}retry_limit_seconds={GS_RETRY_S}"
    try:
        system, path = fs.FileSystem.from_uri(f"{scheme}://{authority}{slash}{quote(name)}{query}")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise StorageError(f"{address}: {_shorten(error)}") from None
    except OSError as error:
        raise StorageError(f"{address}: cannot be reached ({_shorten(error)})") from None
    return Location(system, path.rstrip("/"))


def _split_parts(address: str) -> tuple[str, str, str]:
    """Scheme, what stands behind it, and the options with their ``?``."""
    scheme, _, rest = address.partition("://")
    bare, mark, query = rest.partition("?")
    return scheme, bare, mark + query


class _Steady(io.RawIOBase):
    """A file at an address, whose every fault of the store's client is an ``OSError``."""

    def __init__(self, place: Location) -> None:
        with _name_faults():
            self._file = place.system.open_input_file(place.path)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See :class:`io.RawIOBase`."""
        with _name_faults():
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """See :class:`io.IOBase`."""
        with _name_faults():
            return int(self._file.seek(offset, whence))

    def close(self) -> None:
        """Close the file of the store too."""
        super().close()
        self._file.close()


@contextmanager
def _name_faults() -> Iterator[None]:
    """Turn whatever a store's client raises into an ``OSError``: those of others raise what they like."""
    try:
        yield
    except (OSError, StorageError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {_shorten(error)}") from None


def open_address(address: str, relative: str = "") -> BinaryIO:
    """A file at an address, or ``relative`` below it, seekable, read ahead.

    Raises ``OSError``, :class:`StorageError`.
    """
    place = _locate_below(address, relative)
    return cast(BinaryIO, io.BufferedReader(_Steady(place), READ_AHEAD))


def read_object(address: str, relative: str, most: int) -> bytes:
    """A whole object below an address, of ``most`` bytes at most; the client tries a broken connection again.

    Raises ``FileNotFoundError``, ``OSError``, :class:`StorageError`.
    """
    place = _locate_below(address, relative)
    with _name_faults(), place.system.open_input_file(place.path) as file:
        size = file.size()
        if size > most:
            raise StorageError(f"more than {most >> 20} MB")
        data = bytes(file.read(size))
    if len(data) < size:
        raise OSError("cut short")
    return data


def _locate_below(address: str, relative: str) -> Location:
    place = locate_address(address)
    return Location(place.system, f"{place.path}/{relative}") if relative else place


def read_object_size(address: str) -> int | None:
    """Bytes of a file at an address; ``None`` where there is none. Raises ``OSError``, :class:`StorageError`."""
    place = locate_address(address)
    with _name_faults():
        info = place.system.get_file_info(place.path)
    return int(info.size) if info.is_file else None


def is_address_folder(address: str) -> bool:
    """Whether files lie below an address. Raises ``OSError``, :class:`StorageError`."""
    place = locate_address(address)
    with _name_faults():
        return bool(place.system.get_file_info(place.path).type.name == "Directory")


def list_address(address: str, recursive: bool) -> list[str]:
    """The addresses of the files below one, sorted. Raises ``OSError``, :class:`StorageError`."""
    from pyarrow import fs

    place = locate_address(address)
    with _name_faults():
        found = place.system.get_file_info(fs.FileSelector(place.path, recursive=recursive))
    # Not from the whole path: of many kinds of address it tells neither user nor host.
    below = [info.path.removeprefix(place.path).lstrip("/") for info in found if info.is_file]
    return sorted(join_address(address, name) for name in below)


def split_address(address: str) -> tuple[str, str]:
    """An address as the one of its folder (with the query) and the name of the file."""
    bare, mark, query = address.partition("?")
    folder, _, name = bare.rpartition("/")
    return folder + mark + query, name


def join_address(folder: str, relative: str) -> str:
    """The address of ``relative`` below a folder."""
    bare, mark, query = folder.partition("?")
    return f"{bare.rstrip('/')}/{relative}{mark}{query}"


def _ask_fsspec(address: str) -> Location:
    """For schemes that pyarrow does not know itself."""
    try:
        import fsspec
        from pyarrow import fs

        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise StorageError(f"{address}: {_shorten(error)}") from None
    except OSError as error:
        raise StorageError(f"{address}: cannot be reached ({_shorten(error)})") from None
    except Exception as error:  # each package of another author raises what it likes
        raise StorageError(f"{address}: no such kind of address ({_shorten(error)})") from None
    return Location(fs.PyFileSystem(fs.FSSpecHandler(system)), path.rstrip("/"))


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
