"""Fetch the models of the hub that a run serves onto this machine, for nodes without a network.

The arguments of `generate.py`, or `interns=NAME` alone. Each model is fetched in the revision of its entry and
checked. The exit code is 0 only where all are whole. The token of gated models: HF_TOKEN.
"""

from collections.abc import Sequence

from rich.console import Console

from mics_ray.assemble.locations import list_served
from mics_ray.command_line import JobCommand, run_job
from mics_ray.config.schema import Config, ModelConfig
from mics_ray.core.display import make_printable
from mics_ray.errors import EXIT_OK, RefusedRun


def run_fetch(argv: Sequence[str]) -> int:
    """Compose, fetch, look; returns the exit code."""
    return run_job(argv, __doc__ or "", JobCommand("fetch", Config, fetch_models))


def fetch_models(config: Config) -> int:
    """Fetch every model that vLLM serves, one after the other; one that fails keeps no other from being fetched."""
    from mics_ray.models.engine.hub import is_hub_id

    console, failed = Console(soft_wrap=True, highlight=False), 0
    wanted = {name: entry for name, entry in list_served(config).items() if is_hub_id(entry.model)}
    if not wanted:
        console.print("no model of the hub is served in this configuration; choose interns=NAME", markup=False)
    for name, entry in wanted.items():
        console.print(f"{name}: {entry.model} at {entry.revision or 'main'}", markup=False)
        try:
            console.print(f"{name}: whole, in {_fetch_model(entry)}", markup=False)
        except RefusedRun as refused:
            failed += 1
            console.print(f"{name}: {make_printable(str(refused))}", style="red", markup=False)
    if failed:
        raise RefusedRun(f"{failed} of {len(wanted)} models are not whole on this machine")
    return EXIT_OK


def _fetch_model(entry: ModelConfig) -> str:
    from mics_ray.models.engine.checkpoint import check_checkpoint
    from mics_ray.models.engine.hub import fetch_weights

    folder = str(fetch_weights(entry.model, entry.revision, entry.trust_remote_code))
    check_checkpoint(folder, None, entry.processor_kwargs)
    return folder
