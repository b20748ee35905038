"""The small JSON files beside the results: what cannot be read says nothing, and what it said is worked out again."""

import json
from pathlib import Path
from typing import Any


def read_object(path: Path) -> dict[str, Any]:
    """The object in a file; empty where there is none, or where a loss of power or a full disk cut it off."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
