"""What tells a file on this machine from any other of its name, for caches of what is in it."""

import os
from pathlib import Path
from typing import NamedTuple


class FileState(NamedTuple):
    """Size in bytes, time of the last change, of the inode's last change (both in ns), inode."""

    size: int
    changed_ns: int
    inode_changed_ns: int
    inode: int

    @property
    def changed_s(self) -> float:
        """When it was last changed: the later of the two, which nobody can set back."""
        return max(self.changed_ns, self.inode_changed_ns) / 1e9


def read_file_state(path: str | Path) -> FileState:
    """The state of a file; zeros, which no file has, where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return FileState(0, 0, 0, 0)
    return FileState(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
