"""The configuration of a replay: what the command line leaves open comes from the run's own `config.yaml`."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from mics_ray.config.compose import compose_config, list_choices, list_groups
from mics_ray.config.schema import Config, RunConfig
from mics_ray.errors import RefusedRun

JOB = "generate"
RECORDED = "recorded"
"""The name that the run's own choice has in each group."""
_TRUE = ("true", "yes", "on", "y", "1")
_OF_A_CALL = ("replay", "preflight")
"""Settings of one command, not of a run."""


def compose_job(overrides: Sequence[str], config_dir: Path | None = None) -> Config:
    """The configuration of a generation job, a replay or not. Raises :class:`RefusedRun`."""
    replays = _parse_overrides(overrides).get("replay", "").lower() in _TRUE
    return (compose_replay if replays else compose_config)(overrides, config_dir)


def compose_replay(overrides: Sequence[str], config_dir: Path | None = None) -> Config:
    """Compose ``conf/generate.yaml``. Every group that ``overrides`` do not choose, and every other setting, is the
    run's; with ``experiment=`` the command line is the whole configuration, as it was when the run was made.

    Raises :class:`RefusedRun`.
    """
    given = _parse_overrides(overrides)
    if "experiment" in given:
        return compose_config(overrides, config_dir)
    if "run.dir" not in given:
        raise RefusedRun("replay=true: give run.dir=FOLDER, the folder of the run, or the run's experiment=NAME")
    return _compose_over_run(read_run_settings(Path(given["run.dir"].strip("\"'"))), overrides, config_dir)


def compose_recorded(run: Path) -> Config:
    """The configuration that made the run in ``run``, wherever that folder stood then. Raises :class:`RefusedRun`."""
    return replace(_compose_over_run(read_run_settings(run), (), None), run=RunConfig(str(run)))


def _compose_over_run(own: dict[str, Any], overrides: Sequence[str], config_dir: Path | None) -> Config:
    """A run's ``own`` settings as a choice in each group that ``overrides`` do not choose; Hydra merges them."""
    # Hydra itself shall merge, with its rules and messages: so the run's settings become group files beside ours.
    left = [group for group in list_groups(JOB) if group not in _parse_overrides(overrides)]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if config_dir:
            _link_group_files(config_dir, place)
        # `experiment` last: it takes what belongs to no group, and it overrides the groups.
        for group in (one for one in list_groups(JOB) if one != "experiment"):
            chosen = own.pop(group, {})
            if group in left:
                _write_group_file(place / group / f"{RECORDED}.yaml", chosen, group)
        _write_group_file(place / "experiment" / f"{RECORDED}.yaml", own, "_global_")
        # Before the person's own overrides, which win.
        own_choices = [f"{group}={RECORDED}" for group in left]
        return compose_config([*own_choices, *overrides], place)


def _parse_overrides(overrides: Sequence[str]) -> dict[str, str]:
    """The overrides as name and value."""
    return {name.lstrip("+"): value for name, _, value in (one.partition("=") for one in overrides)}


def read_run_settings(run: Path) -> dict[str, Any]:
    """A run's configuration as its folder holds it."""
    try:
        found = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        found = None  # no file, no text, no YAML: in each case no run that could be replayed
    if not isinstance(found, dict):
        raise RefusedRun(f"run.dir: there is no run in {run}")
    return {name: value for name, value in found.items() if name not in _OF_A_CALL}


def _link_group_files(config_dir: Path, place: Path) -> None:
    """Offer the person's own group files beside the run's."""
    if not config_dir.is_dir():
        raise RefusedRun(f"--config-dir {config_dir}: no such folder")
    for group in list_groups(JOB):
        for name in set(list_choices(group, config_dir)) - set(list_choices(group)):
            (place / group).mkdir(exist_ok=True)
            (place / group / f"{name}.yaml").symlink_to((config_dir / group / f"{name}.yaml").resolve())


def _write_group_file(path: Path, settings: dict[str, Any], package: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"# @package {package}\n{yaml.safe_dump(settings, allow_unicode=True)}", encoding="utf-8")
