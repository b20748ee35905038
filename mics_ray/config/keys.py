"""The one place that keys are read from: the environment, or files that a cluster mounts. Standard library only."""

import os
from pathlib import Path

DIRECTORY = "MICS_SECRETS_DIR"
"""The environment variable with the folder of mounted files, each named as the variable whose key it holds."""


def read_key(name: str) -> str | None:
    """The key that the environment variable ``name`` or the mounted file of that name holds; ``None`` for neither."""
    if value := os.environ.get(name):
        return value
    folder = os.environ.get(DIRECTORY)
    if not folder or not name.isidentifier():
        return None
    try:
        return (Path(folder) / name).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
