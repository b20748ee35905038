"""One small call to each model before anything is loaded: a wrong key or an unknown model is found in a second."""

import asyncio

from mics_ray.assemble.locations import group_by_provider, list_endpoints
from mics_ray.config.keys import read_key
from mics_ray.config.schema import Config
from mics_ray.errors import RefusedRun
from mics_ray.models.chat.endpoint import Endpoint
from mics_ray.models.replies.ledger import Ledger
from mics_ray.models.types import Refused, Request

TEXT = "Reply with the one word: ready."


async def probe_models(config: Config, ledger: Ledger | None = None) -> None:
    """Ask every model once, providers side by side; a provider's first answer decides whether its others are asked.

    So a wrong key is used once. Only a refusal counts; for an endpoint that is down for a moment the run can wait.
    What the words cost goes into ``ledger``. Raises :class:`RefusedRun`.
    """
    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(_probe_provider(config, names, ledger))
            for names in map(list, group_by_provider(config).values())
        ]
    problems = [line for task in asked for line in task.result()]
    if problems:
        raise RefusedRun("\n".join(problems))


async def _probe_provider(config: Config, names: list[str], ledger: Ledger | None) -> list[str]:
    entries = {name: list_endpoints(config)[name] for name in names}
    variable = entries[names[0]].api_key_env
    endpoint = Endpoint(entries, read_key(variable) if variable else None, None, ledger)
    try:
        first = await _probe_entry(endpoint, config, names[0])
        return first or [
            line
            for lines in await asyncio.gather(*(_probe_entry(endpoint, config, n) for n in names[1:]))
            for line in lines
        ]
    finally:
        await endpoint.close()


async def _probe_entry(endpoint: Endpoint, config: Config, name: str) -> list[str]:
    entry = list_endpoints(config)[name]
    request = Request(name, entry.model, "", "", TEXT, "", 0.0, 16, 0)
    try:
        await endpoint.probe_entry(request)
    except Refused as refused:
        key = f", key from {entry.api_key_env}" if entry.api_key_env else ", no key sent (api_key_env is not set)"
        return [f"{name}: {refused.failure.message} (model {entry.model}, {entry.base_url}{key})"]
    return []
