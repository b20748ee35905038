"""A provider whose models say the same in other clothes: thoughts before the text, answers and verdicts in other forms,
replies that are cut."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.provider import Provider

DRAFT = (
    "### Step 1: The reference answer is right.\n\n### The final answer is: draft\n\nDo both name a disease? Yes.\n"
    "Verdict: yes\nNo."
)
"""A chain and verdicts that a model only thinks of."""
MARKER = "### The final answer is:"
Dress = Callable[[str, str], str]


def _thinking(form: str) -> Dress:
    return lambda kind, text: form.format(DRAFT, text)


def _marking(form: str, judged: str) -> Dress:
    """Another final-answer marker, and another form of the judge's word."""

    def dress(kind: str, text: str) -> str:
        if kind == "judge":
            return judged.format(text, json.dumps(text == "Yes"))
        chain, _, answer = text.partition(MARKER)
        return chain + form.format(answer.strip())

    return dress


FORMS: dict[str, Dress] = {
    "think": _thinking("<think>\n{}\n</think>\n\n{}"),
    "opened_by_the_template": _thinking("{}\n</think>\n\n{}"),
    "bracketed": _thinking("[THINK]{}[/THINK]{}"),
    "channels": _thinking(
        "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>"
    ),
    "bold": _marking("**The final answer is:** {}", "**Verdict:** {}"),
    "line": _marking("The final answer is: {}", "Both are compared.\n\n{}"),
    "boxed": _marking("\\boxed{{{}}}", "$\\boxed{{\\text{{{}}}}}$"),
    "tagged": _marking("<answer>\n{}\n</answer>", '{{"match": {1}}}'),
}


@dataclass
class DressedProvider(Provider):
    """``form`` is one of :data:`FORMS`, "" for plain replies.

    ``cut``: models whose replies are cut, a question's first time (``once``) or always (``always``); ``most_room``: the
    most tokens that may be asked for; ``cuts`` and ``refused`` count.
    """

    form: str = ""
    cut: dict[str, str] = field(default_factory=dict)
    most_room: int | None = None
    cuts: int = 0
    refused: int = 0
    _asked: Counter[str] = field(default_factory=Counter)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        if self.most_room is not None and body["max_tokens"] > self.most_room:
            self.refused += 1
            said = f"max_tokens is too large: {body['max_tokens']}. This model supports at most {self.most_room}"
            return web.json_response({"error": {"message": said, "type": "invalid_request_error"}}, status=400)
        return await super()._chat(request)

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """See :class:`Provider`; dressed, or cut behind a thought that says yes."""
        found, kind = super().completion(body), body["model"].split("-")[0]
        choice = found["choices"][0]
        question = json.dumps(body["messages"])
        self._asked[question] += 1
        when = self.cut.get(kind)
        if when == "always" or (when == "once" and self._asked[question] == 1):
            self.cuts += 1
            text = f"<think>\n{DRAFT}\nBut whether it is the same"
            choice |= {"message": {"role": "assistant", "content": text}, "finish_reason": "length"}
        elif self.form:
            choice["message"]["content"] = FORMS[self.form](kind, choice["message"]["content"])
        return found
