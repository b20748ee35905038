"""A provider with a switch for each kind of reply and refusal that FIELD names, over whole runs."""

# ruff: noqa: E501 - the providers' sentences stay whole

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from benchmarks.harness.provider import prompt_text
from tests.support.dressed_provider import DressedProvider
from tests.support.faulty_provider import FaultyProvider

Refuse = Callable[[dict[str, Any]], web.Response]


def _says(status: int, message: str, code: object = None, **more: Any) -> Refuse:
    return lambda _: web.json_response({"error": {"message": message, "code": code, **more}}, status=status)


def _page(status: int) -> Refuse:
    return lambda _: web.Response(status=status, text="<html>Request blocked</html>", content_type="text/html")


def _ends(finish: object) -> Refuse:
    choice = {"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": finish}
    return lambda _: web.json_response({"object": "chat.completion", "choices": [choice]})


def _json(body: Any, status: int = 200) -> Refuse:
    return lambda _: web.json_response(body, status=status)


FILTERS: dict[str, Refuse] = {
    "named_safety": _ends("content_filter: SAFETY"),
    "azure": _says(400, "The response was filtered", "content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}),
    "inspected": _says(400, "Input data may contain inappropriate content.", "data_inspection_failed"),
    "moderated": _says(403, "Your input was flagged", 403, metadata={"reasons": ["violence"]}),
    "blocked_prompt": _json({"choices": [], "promptFeedback": {"blockReason": "SAFETY"}}),
    "told": _json({"error": {"message": "Content Exists Risk", "code": "content_filter"}}),
}  # fmt: skip
"""A filter that refuses one case's prompts: one attempt each, kind ``refused``."""
FIREWALLS: dict[str, Refuse] = {"page": _page(403), "json": _json({"message": "Forbidden"}, 403)}
"""A firewall that does: one attempt each, kind ``blocked``."""
REFUSALS: dict[str, tuple[Refuse, str]] = {
    "max_tokens": (
        _says(400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."),
        "extra_body: {max_tokens: null, max_completion_tokens: 256}",
    ),
    "temperature": (_says(400, "invalid temperature: only 1 is allowed for this model"), "extra_body: {temperature: null}"),
    "seed": (_json({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]}, 422), "extra_body: {seed: null}"),
    "thinking": (
        _says(400, "parameter.enable_thinking must be set to false for non-streaming calls"),
        "extra_body: {enable_thinking: false}",
    ),
    "no_path": (_json({"detail": "Not Found"}, 404), "does base_url end in /v1?"),
    "no_method": (_page(405), "does base_url end in /v1?"),
    "no_post": (_page(501), "does base_url end in /v1?"),
    "moved": (_page(308), "does base_url end in /v1?"),
    "page": (_page(200), "does base_url end in /v1?"),
    "told_path": (_json({"code": 500, "msg": "404 NOT_FOUND", "success": False}), "does base_url end in /v1?"),
    "not_paid": (_says(402, "Insufficient credits", 402), "Insufficient credits"),
    "told_not_paid": (_json({"error": {"message": "Insufficient Balance", "code": 402}}), "Insufficient Balance"),
    "told_text": (_json({"error": "unexpected key in request"}), "unexpected key in request"),
    "gone": (_says(404, "The model `x` does not exist", "model_not_found"), "does not exist"),
    "too_much_room": (_says(400, "Range of max_tokens should be [1, 64]"), "max_tokens: 64"),
}  # fmt: skip
"""What refuses every call of a model, and what the probe says or advises then."""


@dataclass
class FieldProvider(FaultyProvider, DressedProvider):
    """The kinds of :class:`FaultyProvider` and :class:`DressedProvider`, and ``refuse`` for all requests whose
    ``model prompt`` the regular expression ``whom`` finds, probes too; ``turned_away`` counts them by body.

    A request for more than ``most_room`` tokens is refused; one with a picture is, of the models in ``blind``.
    """

    refuse: Refuse = field(default=_page(403))
    whom: str = "(?!)"
    turned_away: Counter[str] = field(default_factory=Counter)
    blind: tuple[str, ...] = ()
    pictures: Counter[str] = field(default_factory=Counter)
    keys: Counter[str | None] = field(default_factory=Counter)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.keys[request.headers.get("Authorization")] += 1
        body = json.loads(await request.read())
        if self.most_room is not None and body["max_tokens"] > self.most_room:
            self.refused += 1
            said = f"max_tokens is too large: {body['max_tokens']}. This model supports at most {self.most_room}"
            return _says(400, said, type="invalid_request_error")(body)
        if isinstance(body["messages"][-1]["content"], list):
            self.pictures[body["model"]] += 1
            if body["model"] in self.blind:
                return _says(500, "this model is missing data required for image input")(body)
        if re.search(self.whom, f"{body['model']} {prompt_text(body)}"):
            self.turned_away[json.dumps(body, sort_keys=True)] += 1
            return self.refuse(body)
        return await super()._chat(request)
