"""Which line of an entry answers a refusal: read from the provider's own words, "" where none is known."""

import re

from mics_ray.config.sampling import PARAMETERS
from mics_ray.config.schema import ModelConfig
from mics_ray.models.chat.retry import Fault

NEWER_ROOM = re.compile(r"max_completion_tokens", re.I)
BOUND = re.compile(
    r"at most (\d{1,9})|\[\s*1\s*,\s*(\d{1,9})\s*\]|less than or equal to\D{0,3}(\d{1,9})|"
    r"> (\d{1,9}), which is the max|<= ?(\d{1,9})",
    re.I,
)
PICTURES = re.compile(
    r"image|picture|vision|visual|multi-?modal|modalit|unknown variant|str(ing)? type expected|"
    r"content.{0,40}(must be|should be|valid) a? ?string",
    re.I,
)
SERVES_PICTURES = re.compile(r"found that support\w* (image|vision)", re.I)
"""OpenRouter's words for a model that none of its providers serves with pictures."""
THINKING = re.compile(r"enable_thinking\W{0,3} .{0,30}\b(false|true)\b", re.I)
OPTIONAL = ("temperature", "seed", "max_tokens", *PARAMETERS)
"""Parameters of every request that an entry may leave out."""


def suggest_line(fault: Fault, entry: ModelConfig) -> str:
    """The line to add to ``entry``, as YAML."""
    said = fault.said
    if fault.failure.kind == "too_much_room":
        found = BOUND.search(said)
        return f"max_tokens: {next(filter(None, found.groups()))}" if found else "max_tokens: (less)"
    if fault.failure.kind == "unknown_model" and SERVES_PICTURES.search(said):
        return "sees_pictures: false"
    if fault.failure.kind != "bad_request":
        return ""
    if (thinking := THINKING.search(said)) is not None:
        return f"extra_body: {{enable_thinking: {thinking[1].lower()}}}"
    first = min((place, name) for name in (*OPTIONAL, "") if (place := _find_name(said, name)) >= 0)[1]
    if first == "max_tokens" and NEWER_ROOM.search(said):
        return f"extra_body: {{max_tokens: null, max_completion_tokens: {entry.max_tokens}}}"
    if first:
        return f"extra_body: {{{first}: null}}"
    return "sees_pictures: false" if entry.sees_pictures and PICTURES.search(said) else ""


def _find_name(said: str, name: str) -> int:
    """Where a parameter is named in ``said``; -1 for nowhere. The empty name comes after all others."""
    if not name:
        return len(said)
    found = re.search(rf"(?<![a-z_]){name}(?![a-z_])", said, re.I)
    return found.start() if found else -1
