"""The bodies that chat-completions APIs send: a reply, or what they say instead. Read leniently. No I/O.

Only the text must be there and make sense: garbage in any other field counts as not told. Lone surrogates, which
UTF-8 cannot carry, are kept as ``?``.
"""

import json
import re
from dataclasses import replace
from typing import Any

import msgspec

from mics_ray.models.chat.classify import ErrorBody, classify_told_error
from mics_ray.models.chat.retry import Action, Fault, broken_reply
from mics_ray.models.chat.retry_hints import find_wait
from mics_ray.models.chat.wire_format import replace_surrogates
from mics_ray.models.types import Failure, Reply

MAX_TOKENS = 2**31 - 1  # of one reply; a count beyond it, or below zero, is garbage
MAX_WORDS = 2000  # characters of an error that are looked at

STOPS = re.compile(
    r"stop(_(sequence|token|str|word)s?)?|end(_?of_?(turn|text|sequence|sentence))?|end_turn|eos(_token|_found)?|"
    r"completed?|finish(ed)?|normal"
)
"""Finish reasons, in lower case, of a text that ended where the model wanted."""
CUTS = re.compile(r"length|max(imum)?_?\w*_?tokens?|token\w*_limit|context_window|truncat|incomplete")
UNTOLD = ("", "null", "none", "unspecified", "finish_reason_unspecified")
REASON_PREFIX = re.compile(r"\A(finish_?reason[._])")
FILTERS = re.compile(
    r"content.?filter|safety|refus|recitation|prohibited|blocklist|sensitive|guardrail|moderation|spii", re.I
)
CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens")
"""Where a usage without details tells the part of its prompt that came from a cache."""
TEXT_PARTS = ("text", "output_text", "")
KNOWN_REASONS = ("error", "tool_calls", "function_call", "abort", "unknown", "other", "insufficient_system_resource")


def parse_reply(body: bytes, room: int = MAX_TOKENS) -> Reply | Fault:
    """A chat completion, its cost not filled in, or why the body of a 200 is none.

    ``room``: the most tokens that were asked for; a text that fills it and whose end is not told counts as cut.
    """
    said = decode_json(body)
    choices = said.get("choices") if isinstance(said, dict) else None
    error = _read_error(said) if isinstance(choices, list) else _find_error(said)
    # Beside choices an error whose code is that of a success is none.
    if error is not None and not (choices and error.number in (0, 200)):
        return classify_told_error(error)
    if not isinstance(choices, list):
        return _find_block(said) or broken_reply("200 is not a chat completion", no_completion=True)
    if not choices:
        return _find_block(said) or broken_reply("200 without a choice", no_completion=True)
    choice = choices[0]
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        return broken_reply("200 is not a chat completion", no_completion=True)
    counts = _read_usage(said.get("usage"))
    if (inner := _read_error(choice) or _read_error(choice["message"])) is not None:
        return replace(classify_told_error(inner), charged=any(counts))
    return _read_choice(choice, choice["message"], counts, room)


def _read_choice(
    choice: dict[str, Any], message: dict[str, Any], counts: tuple[int, int, int, int], room: int
) -> Reply | Fault:
    finish, text, refusal = _read_finish(choice), _join_text(message.get("content")), _read_refusal(message)
    if refusal or FILTERS.search(finish):
        return _refuse(refusal or text or "")
    if CUTS.search(finish) or (not finish and counts[1] >= room):
        # A model that thinks may run out of tokens before it writes.
        return Reply(replace_surrogates(text or ""), "length", *counts[:2], 0.0, False, *counts[2:])
    if finish and not STOPS.fullmatch(finish):
        named = finish if finish in KNOWN_REASONS else "none of a normal end"
        return broken_reply(f"200 with finish_reason {named}", replace_surrogates(text or ""))
    if text is None:
        return broken_reply("200 without content")
    return Reply(replace_surrogates(text), "stop", *counts[:2], 0.0, False, *counts[2:])


def _read_finish(choice: dict[str, Any]) -> str:
    """Why the text ends, in lower case; "" where that is not told. A gateway's own word gives way to the model's."""
    told = [_plain_reason(choice.get(name)) for name in ("finish_reason", "native_finish_reason")]
    if told[0] in ("", "stop") and CUTS.search(told[1]):
        return told[1]
    return told[0]


def _plain_reason(reason: Any) -> str:
    plain = REASON_PREFIX.sub("", reason.strip().lower()) if isinstance(reason, str) else ""
    return "" if plain in UNTOLD else plain


def _read_refusal(message: dict[str, Any]) -> str:
    """A refusal in words, beside the text or as a part of it; "" for none."""
    content = message.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    told = [message.get("refusal"), *(part.get("refusal") for part in parts if part.get("type") == "refusal")]
    return next((said for said in told if isinstance(said, str) and said.strip()), "")


def _refuse(evidence: str) -> Fault:
    return Fault(Action.LOSE, Failure("refused", "200 refusal or content filter"), text=replace_surrogates(evidence))


def _find_block(said: Any) -> Fault | None:
    """What Google says of a prompt that its filter does not let through: no choices, but a reason."""
    feedback = _find_dict(said, "promptFeedback", "prompt_feedback") if isinstance(said, dict) else {}
    reason = feedback.get("blockReason") or feedback.get("block_reason")
    return _refuse("") if isinstance(reason, str) and reason else None


def _join_text(content: Any) -> str | None:
    """The text of a message: a string, or parts of which those of thoughts are dropped; ``None`` for no text."""
    if isinstance(content, str):
        return content
    parts = [content] if isinstance(content, dict) else content
    if not isinstance(parts, list):
        return None
    texts = [text for part in parts if (text := _read_part(part)) is not None]
    return "".join(texts) if texts else None


def _read_part(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type", "") not in TEXT_PARTS or part.get("thought") is True:
        return None
    text = part.get("text")
    text = text.get("value") if isinstance(text, dict) else text
    return text if isinstance(text, str) else None


def _read_usage(usage: Any) -> tuple[int, int, int, int]:
    """Tokens of the prompt, of the completion, of the first those from a cache, of the second those of thoughts."""
    if not isinstance(usage, dict):
        return 0, 0, 0, 0
    prompt = _read_count(usage, "prompt_tokens", "input_tokens")
    completion = _read_count(usage, "completion_tokens", "output_tokens")
    details = _find_dict(usage, "prompt_tokens_details", "input_tokens_details")
    cached = _read_count(details, "cached_tokens") or _read_count(usage, *CACHED)
    details = _find_dict(usage, "completion_tokens_details", "output_tokens_details")
    thoughts = _read_count(details, "reasoning_tokens") or _read_count(usage, "reasoning_tokens")
    # Some APIs (Gemini, xAI) leave thoughts out of the completion and tell them in the total only: they are billed.
    unlisted = _read_count(usage, "total_tokens") - prompt - completion
    if prompt and completion and unlisted > 0 and thoughts in (0, unlisted):
        completion, thoughts = completion + unlisted, unlisted
    return prompt, completion, min(cached, prompt), min(thoughts, completion)


def _find_dict(node: dict[str, Any], *names: str) -> dict[str, Any]:
    return next((value for name in names if isinstance(value := node.get(name), dict)), {})


def _read_count(node: dict[str, Any], *names: str) -> int:
    """The first of ``names`` that is a count of tokens, in whatever type; 0 for none."""
    for name in names:
        value = node.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except (ValueError, OverflowError):
                continue
            if 0 <= number <= MAX_TOKENS:
                return int(number)
    return 0


def parse_error(body: bytes) -> ErrorBody | None:
    """The error that a body tells: ``{"error": {…}}``, the same in a list, or bare; ``None`` if it tells none."""
    return _find_error(decode_json(body))


def _find_error(said: Any) -> ErrorBody | None:
    said = said[0] if isinstance(said, list) and said else said
    if not isinstance(said, dict):
        return None
    bare = {"message", "code", "type"} & said.keys()
    return _read_error(said) or (_describe_error(said) if bare else None)


def _read_error(said: Any) -> ErrorBody | None:
    """The error beside or instead of a reply; an empty one is none."""
    error = said.get("error") or said.get("base_resp") if isinstance(said, dict) else None
    error = error[0] if isinstance(error, list) and error else error
    if isinstance(error, str) and error.strip():
        return ErrorBody(message=error[:MAX_WORDS], wait_s=find_wait(error))
    if not isinstance(error, dict) or not any(error.values()) or error.get("status_code") == 0:  # MiniMax: 0 is success
        return None
    return _describe_error(error)


def _describe_error(error: dict[str, Any]) -> ErrorBody:
    codes = [error.get(name) for name in ("code", "type", "status_code", "status")]
    number = next((found for code in codes if (found := _as_number(code)) is not None), None)
    words = [code for code in codes if isinstance(code, str) and code and _as_number(code) is None]
    inner, metadata = _find_dict(error, "innererror"), _find_dict(error, "metadata")
    more = [error.get("param"), error.get("status_msg"), inner.get("code"), metadata.get("raw")]
    details = " ".join(str(part)[:MAX_WORDS] for part in [*words[1:], *more] if isinstance(part, str))
    message = error.get("message", error.get("msg", ""))
    return ErrorBody(
        words[0] if words else "",
        (message if isinstance(message, str) else json.dumps(message))[:MAX_WORDS],
        number,
        details,
        find_wait(error),
    )


def _as_number(code: Any) -> int | None:
    if isinstance(code, int) and not isinstance(code, bool):
        return code
    return int(code) if isinstance(code, str) and re.fullmatch(r"[0-9]{3,6}", code) else None


def read_words(body: bytes) -> str:
    """What a body says of an error in words, for a person to read; not cleaned. "" for a page or nothing."""
    said = decode_json(body)
    if (error := parse_error(body)) is not None and error.message:
        return f"{error.message} {error.details}".strip()
    detail = said.get("detail") or said.get("errors") if isinstance(said, dict) else None
    if detail is None:
        return ""
    return (detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False))[:MAX_WORDS]


def decode_json(body: bytes) -> Any:
    """The value, or ``None`` for what is no JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):  # ValueError: bytes that are no UTF-8
        pass
    try:
        return json.loads(body)  # lone surrogates, which the fast parser does not take
    except (ValueError, RecursionError):
        return None
