"""What the configuration that a run folder keeps says about its pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mics_ray.assemble.locations import make_root, resolve_cases, resolve_embedded
from mics_ray.config.schema import PicturesConfig
from mics_ray.io.input_files import InputError, list_folders
from mics_ray.models.pictures.windows import View, read_view


def read_recorded_config(folder: Path) -> dict[str, Any]:
    """A run's resolved configuration; nothing where it is not there or not readable."""
    try:
        found = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def find_recorded_pictures(config: Mapping[str, Any]) -> Path | str | None:
    """The folder or address of the pictures; relative paths are taken from where this program is started."""
    data = config.get("data") or {}
    if data.get("image_root"):
        return make_root(resolve_embedded(str(data["image_root"])))
    try:
        folders = list_folders(resolve_cases(data["cases"])) if data.get("cases") else []
    except InputError:
        return None
    return make_root(folders[0]) if len(folders) == 1 else None


def read_recorded_view(config: Mapping[str, Any]) -> View:
    """How the run's models saw pictures."""
    found = config.get("pictures") or {}
    return read_view(PicturesConfig(window=found.get("window", "auto"), frames=found.get("frames", "auto")))
