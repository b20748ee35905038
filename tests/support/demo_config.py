"""The demo's configuration with single values changed."""

from functools import cache
from typing import cast

from omegaconf import OmegaConf

from mics_ray.config.compose import compose_config
from mics_ray.config.schema import Config


@cache
def preset_of_demo(name: str) -> Config:
    return compose_config(["experiment=demo", f"search={name}"])


def compose_demo(*changes: str, search: str = "paper") -> Config:
    """The demo with single values changed; composing it anew for each test would take most of their time."""
    config = OmegaConf.merge(OmegaConf.structured(preset_of_demo(search)), OmegaConf.from_dotlist(list(changes)))
    return cast(Config, OmegaConf.to_object(config))
