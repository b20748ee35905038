"""One small call to each model before anything is loaded, made as the run will make its calls.

A wrong key, an unknown model, a parameter or a picture that a model refuses are found in a second.
"""

import asyncio
from dataclasses import replace

from mics_ray.assemble.locations import JUDGE, group_by_provider
from mics_ray.assemble.panel import build_intern_template, build_judge_template, build_mentor_template
from mics_ray.assemble.probe_advice import suggest_line
from mics_ray.config.keys import list_key_names, read_key, read_secret_headers
from mics_ray.config.schema import Config, ModelConfig
from mics_ray.core.seeds import derive_seed
from mics_ray.errors import RefusedRun
from mics_ray.models.chat.attempts import HARMLESS, KEY_WIDE_KINDS
from mics_ray.models.chat.endpoint import Endpoint
from mics_ray.models.chat.retry import Fault
from mics_ray.models.pictures.plain import draw_plain_picture
from mics_ray.models.replies.ledger import Ledger
from mics_ray.models.types import Pictures, Refused, Reply, Request


async def probe_models(config: Config, ledger: Ledger | None = None, with_pictures: bool = True) -> frozenset[str]:
    """Ask every model once, providers side by side, as its role will; return the providers that have answered.

    A provider's first answer decides whether its others are asked, so a wrong key is used once. A refusal counts, and
    what is no chat API; for an endpoint that is down for a moment the run can wait. ``with_pictures``: roles that look
    at pictures are shown one. What the words cost goes into ``ledger``. Raises :class:`RefusedRun`, a line per model.
    """
    shown = draw_plain_picture() if with_pictures else None
    groups = group_by_provider(config)
    async with asyncio.TaskGroup() as group:
        asked = {
            provider: group.create_task(_probe_provider(config, entries, ledger, shown))
            for provider, entries in groups.items()
        }
    if problems := [line for task in asked.values() for line in task.result()[0]]:
        raise RefusedRun("\n".join(problems))
    return frozenset(provider for provider, task in asked.items() if task.result()[1])


async def _probe_provider(
    config: Config, entries: dict[str, ModelConfig], ledger: Ledger | None, shown: Pictures | None
) -> tuple[list[str], bool]:
    """The lines of what is refused, and whether any model has answered."""
    variable = next(iter(entries.values())).api_key_env
    endpoint = Endpoint(entries, read_key(variable) if variable else None, None, ledger, read_secret_headers(entries))
    try:
        first, *others = entries
        outcomes = {first: await _probe_entry(endpoint, config, first, shown)}
        refusal = outcomes[first]
        if isinstance(refusal, Fault) and refusal.refuses_probe and refusal.failure.kind in KEY_WIDE_KINDS:
            outcomes |= dict.fromkeys(others, refusal)  # the same key at the same address
        else:
            outcomes |= dict(
                zip(
                    others,
                    await asyncio.gather(*(_probe_entry(endpoint, config, name, shown) for name in others)),
                    strict=True,
                )
            )
    finally:
        await endpoint.close()
    lines = [
        _describe_refusal(name, entries[name], outcome)
        for name, outcome in outcomes.items()
        if isinstance(outcome, Refused) or (isinstance(outcome, Fault) and outcome.refuses_probe)
    ]
    return lines, any(isinstance(outcome, Reply) for outcome in outcomes.values())


async def _probe_entry(
    endpoint: Endpoint, config: Config, name: str, shown: Pictures | None
) -> Reply | Fault | Refused:
    request, looks = _build_request(config, name)
    pictures = shown if looks else None
    try:
        return await endpoint.probe_entry(replace(request, pictures=pictures.digest if pictures else ""), pictures)
    except Refused as refused:
        return refused


def _build_request(config: Config, name: str) -> tuple[Request, bool]:
    """The probe of an entry, all but its pictures, and whether it is shown any."""
    looks = False
    if name == JUDGE:
        template = build_judge_template(config)
    elif name in config.mentors:
        template, looks = build_mentor_template(config, name), config.mentors[name].sees_pictures
    else:
        template, looks = build_intern_template(config, name), config.interns[name].sees_pictures
        # The highest is the one that may be refused.
        template = replace(template, temperature=max(config.search.intern_temperatures, default=0.0))
    return replace(template, text=HARMLESS, seed=derive_seed("probe")), looks


def _describe_refusal(name: str, entry: ModelConfig, outcome: Fault | Refused) -> str:
    secrets = list_key_names(entry)
    sent = f"key from {', '.join(secrets)}" if secrets else "no key sent (api_key_env is not set)"
    about = f"(model {entry.model}, {entry.base_url}, {sent})"
    if isinstance(outcome, Refused):
        return f"{name}: {outcome.failure.message} {about}"
    message = outcome.failure.message
    if _is_no_api(outcome):
        said = f", {outcome.said}" if outcome.said else ""
        address = f"{(entry.base_url or '').rstrip('/')}/chat/completions"
        return f"{name}: no chat API at {address} ({message}{said}); does base_url end in /v1? {about}"
    said = f': "{outcome.said}"' if outcome.said else ""
    advice = f"; add to the entry: {line}" if (line := suggest_line(outcome, entry)) else ""
    return f"{name}: {message}{said} {about}{advice}"


def _is_no_api(fault: Fault) -> bool:
    kind, message = fault.failure.kind, fault.failure.message
    if kind == "broken_reply":  # a 200 with something else, such as a page
        return not fault.said
    return kind == "no_chat_api" or (kind == "server_error" and message.startswith("404")) or message.startswith("3")
