"""Weights of the hub on a node: fetched and looked at by tasks of their own, which alone have the hub's token."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.util.placement_group import get_current_placement_group, placement_group_table
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mics_ray.config.keys import HUB_TOKEN, HUB_TOKENS
from mics_ray.config.schema import ModelConfig
from mics_ray.errors import RefusedRun
from mics_ray.models.engine.checkpoint import check_checkpoint, fetch_small_files
from mics_ray.models.engine.hub import fetch_weights, is_hub_id

HUB_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


@dataclass(frozen=True, slots=True)
class Copy:
    """What a node (by its host's name) has of a model: the folder there, or else why there is none."""

    node: str
    folder: str = ""
    refusal: str = ""


def start_fetch(node: str, entry: ModelConfig, whole: bool = True, token: str | None = None) -> Any:
    """Fetch what ``entry`` serves on the node of that id; the reference of a :class:`Copy`.

    Of a model that is not wanted ``whole`` the small files alone. ``token`` stands in for the node's own.
    """
    return _build_task(_fetch_copy, node).remote(entry, whole, token)


def start_look(node: str, folder: str) -> Any:
    """Whether the node of that id sees ``folder``; the reference of a bool."""
    return _build_task(os.path.isdir, node).remote(folder)


def read_hub_variables() -> dict[str, str]:
    """What this process was told of the hub holds for processes on other machines, too."""
    return {name: os.environ[name] for name in HUB_VARIABLES if name in os.environ}


async def locate_weights(entry: ModelConfig) -> ModelConfig:
    """``entry`` with the folder of its weights, the same on each node that the engine of this actor runs on.

    Raises :class:`RefusedRun`.
    """
    if not is_hub_id(entry.model):
        return entry
    copies: list[Copy] = await asyncio.gather(*(start_fetch(node, entry) for node in _own_nodes()))
    if refused := [copy.refusal for copy in copies if copy.refusal]:
        raise RefusedRun(refused[0])
    folders = {copy.folder for copy in copies}
    if len(folders) > 1:
        raise RefusedRun(f"{entry.model}: lies in {' and '.join(sorted(folders))}; its stages need one HF_HOME")
    return replace(entry, model=folders.pop())


def _own_nodes() -> list[str]:
    """The ids of the nodes that this actor's engine runs on: of a pipeline those of all its stages."""
    if (group := get_current_placement_group()) is None:
        return [ray.get_runtime_context().get_node_id()]
    table: Mapping[str, Mapping[int, str]] = placement_group_table(group)
    return sorted(set(table["bundles_to_node_id"].values()))


def _build_task(function: Callable[..., Any], node: str) -> Any:
    """A Ray task on a node. The environment of its process, which ends with it, has the node's own tokens."""
    tokens = {name: f"${{{name}}}" for name in HUB_TOKENS}  # filled in on the node
    return ray.remote(
        num_cpus=0,
        max_retries=0,
        max_calls=1,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        runtime_env={"env_vars": tokens | read_hub_variables()},
    )(function)


def _fetch_copy(entry: ModelConfig, whole: bool, token: str | None) -> Copy:
    node = socket.gethostname()
    if token:
        os.environ[HUB_TOKEN] = token
    try:
        if whole:
            folder = str(fetch_weights(entry.model, entry.revision, entry.trust_remote_code))
            check_checkpoint(folder, None, entry.processor_kwargs)
        else:
            folder = str(fetch_small_files(entry.model, entry.revision))
            check_checkpoint(entry.model, Path(folder).name, entry.processor_kwargs)
        return Copy(node, folder)
    except RefusedRun as refused:
        return Copy(node, refusal=str(refused))
