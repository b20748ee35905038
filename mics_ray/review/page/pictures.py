"""The cases' pictures as files of a report, as models saw them: 8-bit, windowed, upright, without metadata."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mics_ray.assemble.case_pictures import CasePictures
from mics_ray.core.display import make_one_line
from mics_ray.models.pictures.reading import PictureError, encode_picture, load_picture
from mics_ray.models.pictures.windows import View
from mics_ray.private_files import make_private_folder, write_private

MAX_SIDE = 2048
"""Pixels of the longer side: a film's detail is there, and a case is shown at once."""
MAX_BYTES = 4 * 10**9
"""Of all pictures of a report, about; the cases after them name their pictures and do not show them."""
THREADS = 4  # decoders let go of Python's lock

FOLDER = "pictures"


@dataclass(slots=True)
class PictureFiles:
    """Writes the pictures of cases into ``report/pictures``, each once. ``root`` is ``None`` where it is not known.

    ``not_shown`` counts the pictures that are named only: unreadable, or beyond :data:`MAX_BYTES`.
    """

    report: Path
    root: Path | str | None
    view: View
    not_shown: int = 0
    written: int = 0

    def add_pictures(self, rows: Sequence[Mapping[str, Any]]) -> list[list[dict[str, Any]]]:
        """The pictures of each row as the page names them: ``{name, file, problem}``, one of the last two empty.

        Raises ``OSError`` where a file cannot be written.
        """
        names = list(dict.fromkeys(name for row in rows for name in row["images"]))
        with ThreadPoolExecutor(THREADS) as pool:
            # Written by one thread: two names may hold the same picture.
            found = {
                name: self._note_picture(name, made)
                for name, made in zip(names, pool.map(self._encode, names), strict=True)
            }
        return [[found[name] for name in row["images"]] for row in rows]

    def _encode(self, name: str) -> bytes | str:
        """The file, or why there is none."""
        if self.root is None:
            return "the folder of the pictures is not known"
        if self.written >= MAX_BYTES:
            return f"left out: a report holds at most {MAX_BYTES // 10**9} GB of pictures"
        try:
            return encode_picture(load_picture(CasePictures(self.root), name, self.view), MAX_SIDE)
        except PictureError as error:
            return make_one_line(str(error))
        except OSError as error:
            return f"cannot be read ({os.strerror(error.errno or 0)})"

    def _note_picture(self, name: str, made: bytes | str) -> dict[str, Any]:
        told = {"name": make_one_line(name), "file": "", "problem": ""}
        if isinstance(made, str):
            self.not_shown += 1
            return told | {"problem": made}
        return told | {"file": self._write_file(made)}

    def _write_file(self, data: bytes) -> str:
        """Write a file under the digest of its bytes; its path in the report."""
        digest, ending = hashlib.sha256(data).hexdigest()[:32], "png" if data[1:4] == b"PNG" else "jpg"
        file = f"{FOLDER}/{digest[:2]}/{digest}.{ending}"
        path = self.report / file
        if not path.exists():
            make_private_folder(path.parent)
            write_private(path, data)
            self.written += len(data)
        return file
