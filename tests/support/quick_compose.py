"""Hydra's ``compose`` for tests whose subject is not the configuration: what each choice of files gives is kept.

Composing takes Hydra 60 ms of CPU, a copy with the settings on top 15 ms, and the tests compose a thousand times.
``tests/unit/config``, the contracts and the programs that tests start use Hydra itself, and
``tests/laws/test_fuzz.py`` holds what is kept against what Hydra gives.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from hydra import compose
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from mics_ray.config import compose as composing
from tests.fuzz.kept_compose import SEARCHPATH, Compose, kept

NOWHERE = Path("/dev/null/none")
"""No folder of the user's own."""


def compose_quickly(job: str, overrides: Sequence[str]) -> DictConfig:
    """What ``compose`` gives, or raises. The user's own files are read by Hydra itself each time."""
    groups = composing.list_groups(job)
    chosen = [one for one in overrides if one.partition("=")[0].lstrip("+~") in groups]
    searched = [one for one in overrides if one.startswith(f"{SEARCHPATH}=")]
    if any("${" in one for one in chosen) or any(_names_own_file(one, chosen) for one in searched):
        return compose(job, list(overrides))
    schema = ConfigStore.instance().repo.get("schema.yaml")
    quick = _keep(job, schema and OmegaConf.get_type(schema.node), composing.CONF)
    return quick(job, [one for one in overrides if one not in searched])


@lru_cache
def _keep(job: str, schema: type | None, conf: Path) -> Compose:
    """One memory for each job, schema and folder of shipped files."""
    return kept(compose, job, NOWHERE)


def _names_own_file(searched: str, chosen: Sequence[str]) -> bool:
    """Whether a choice names a file of the user's folder."""
    (override,) = OverridesParser.create().parse_overrides([searched])
    folders = [Path(str(one).removeprefix("file://")) for one in override.value()]
    return any(
        (folder / group / f"{name.removesuffix('.yaml')}.yaml").exists()
        for folder in folders
        for group, _, names in (one.lstrip("+~").partition("=") for one in chosen)
        for name in re.findall(r"[\w.-]+", names)
    )
