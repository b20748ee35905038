"""Hydra's ``compose`` with what it makes of the same choices kept: reading 30 files and merging them takes it 50 ms.

An input's own part is read and applied to a copy by Hydra's own code. What the two parts cannot tell goes to Hydra
whole: overrides of Hydra's own settings, and of groups in other packages.
"""

import copy
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from mics_ray.config.compose import list_groups

OWN = "mine"
"""The user's file in a group."""
SEARCHPATH = "hydra.searchpath"
"""Where the user's files are found: the same for all inputs."""
KEPT = 500
"""Choices, with the user's files in them, of which a configuration is kept."""
Compose = Callable[..., DictConfig]


def kept(compose: Compose, job: str, folder: Path) -> Compose:
    """``compose`` for users whose files lie in ``folder`` as ``GROUP/mine.yaml``. Raises what ``compose`` raises."""
    parser, known = OverridesParser.create(), list_groups(job)

    @lru_cache(KEPT)
    def base(choices: tuple[str, ...], own: tuple[bytes, ...]) -> DictConfig | Exception:
        try:
            return compose(job, choices)
        except Exception as error:
            return error

    def composed(job: str, overrides: Sequence[str]) -> DictConfig:
        parsed = parser.parse_overrides(list(overrides))
        chosen = [one for one in parsed if one.key_or_group in known]
        files = [folder / one.key_or_group / f"{OWN}.yaml" for one in chosen if OWN in str(one.input_line)]
        for path in filter(Path.exists, files):
            OmegaConf.load(path)  # most are no YAML: said before Hydra reads all the others
        if any(map(_is_hydra_s, parsed)):
            return compose(job, overrides)
        lines = [str(one.input_line) for one in parsed if one in chosen or one.key_or_group == SEARCHPATH]
        found = base(tuple(lines), tuple(path.read_bytes() for path in filter(Path.exists, files)))
        if isinstance(found, Exception):
            raise found
        config = copy.deepcopy(found)
        settings = [one for one in parsed if one not in chosen and one.key_or_group != SEARCHPATH]
        ConfigLoaderImpl._apply_overrides_to_config(settings, config)
        return config

    return composed


def _is_hydra_s(override: Override) -> bool:
    """Whether an override concerns Hydra itself or another package."""
    name = override.key_or_group
    return name != SEARCHPATH and (override.package is not None or "/" in name or name.startswith("hydra"))
