"""Replies of every shape: the text is what must be there, side fields never cost it."""

# ruff: noqa: E501 - replies of models stay whole

import json
from typing import Any

import pytest

from mics_ray.models.chat.reply_decoder import parse_reply
from mics_ray.models.chat.retry import Action, Fault
from mics_ray.models.types import Reply
from tests.support.faulty_server import completion


def parse(body: Any) -> Reply | Fault:
    return parse_reply(json.dumps(body).encode())


def read(body: Any) -> Reply:
    reply = parse(body)
    assert isinstance(reply, Reply)
    return reply


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}], "hi"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "hi"}], "hi"),
        ([{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "hi"}, " there"], "hi there"),
        ([{"text": "hm", "thought": True}, {"text": "hi"}], "hi"),
        ([{"type": "text", "text": {"value": "hi"}}], "hi"),
        ({"type": "text", "text": "hi"}, "hi"),
        ([{"type": "text", "text": "a"}, None, 5, {"type": "image_url", "image_url": {}}, {"type": "text"}], "a"),
        ([{"type": ["text"], "text": "odd"}, {"type": "text", "text": "hi"}], "hi"),
    ],
)
def test_text_in_parts(content: Any, text: str) -> None:
    assert read({"choices": [{"message": {"content": content}}]}).text == text


@pytest.mark.parametrize("content", [None, [], {}, 5, True, [{"type": "thinking", "thinking": "hm"}], [[["x"]]]])
def test_no_text(content: Any) -> None:
    fault = parse({"choices": [{"message": {"content": content}}]})
    assert isinstance(fault, Fault)
    assert (fault.action, fault.failure.kind, fault.refuses_probe) == (Action.AGAIN_PAID, "broken_reply", False)
    assert read({"choices": [{"message": {"content": content}, "finish_reason": "length"}]}) == Reply("", "length")


@pytest.mark.parametrize(
    "side",
    [
        {"usage": {"prompt_tokens": "many"}},
        {"usage": []},
        {"usage": "none"},
        {"usage": {"prompt_tokens": {"n": 3}, "completion_tokens": True, "prompt_tokens_details": 7}},
        {"usage": {"prompt_tokens": -5.0, "completion_tokens": 1e300, "completion_tokens_details": ["x"]}},
        {"error": None},
        {"error": {}},
        {"error": ""},
        {"error": {"message": None, "code": None}},
        {"error": False},
        {"base_resp": {"status_code": 0, "status_msg": "success"}},
        {"id": 5, "object": None, "created": "today", "system_fingerprint": [], "service_tier": {}},
        {"choices": [{"message": {"content": "x"}, "finish_reason": {"type": "stop"}}]},
        {"choices": [{"message": {"content": "x"}, "finish_reason": 1}]},
        {"choices": [{"message": {"content": "x"}, "finish_reason": ""}]},
        {"choices": [{"message": {"content": "x"}}]},
        {"choices": [{"message": {"content": "x", "refusal": [], "role": 5, "tool_calls": {}, "annotations": 3}}]},
        {"choices": [{"message": {"content": "x", "refusal": ""}, "error": None, "index": "0", "logprobs": 3}]},
        {"choices": [{"message": {"content": "x", "reasoning_content": "hm", "reasoning": ["hm"]}}]},
        {"choices": [{"message": {"content": "x"}}, {"message": None}, 7]},
    ],
)
def test_side_fields_never_cost_the_text(side: dict[str, Any]) -> None:
    assert read({"choices": [{"message": {"content": "x"}}]} | side) == Reply("x")


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 100.0, "completion_tokens": "7"}, (100, 7, 0, 0)),
        ({"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}, (100, 7, 0, 0)),
        ({"input_tokens": 100, "output_tokens": 7}, (100, 7, 0, 0)),
        ({"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 64}}, (100, 7, 64, 0)),
        (
            {"prompt_tokens": 100, "completion_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 5}},
            (100, 7, 0, 5),
        ),
        ({"prompt_tokens": 100, "completion_tokens": 7, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}, (100, 7, 64, 0)),
        ({"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 640}}, (100, 7, 100, 0)),
        ({"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": None}, (100, 7, 0, 0)),
        # Thoughts beside the completion are billed like it.
        (
            {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 157, "completion_tokens_details": {"reasoning_tokens": 50}},
            (100, 57, 0, 50),
        ),
        ({"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 157}, (100, 57, 0, 50)),
        ({"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": "9" * 30}, (100, 7, 0, 0)),
        ({"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 5}, (100, 7, 0, 0)),
    ],
)  # fmt: skip
def test_usage(usage: Any, counts: tuple[int, int, int, int]) -> None:
    reply = read({"choices": [{"message": {"content": "x"}}], "usage": usage})
    assert (reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens, reply.reasoning_tokens) == counts


def test_the_usage_of_a_cut_reply_is_read_alike() -> None:
    usage = {
        "prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }  # fmt: skip
    cut = read({"choices": [{"message": {"content": "half"}, "finish_reason": "length"}], "usage": usage})
    assert cut == Reply("half", "length", 100, 7, 0.0, False, 64, 5)


@pytest.mark.parametrize("reason", ["stop", "STOP", "end_turn", "eos", "eos_token", "stop_sequence", "COMPLETE", None])
def test_normal_ends_are_one(reason: str | None) -> None:
    assert read(completion("fine", reason)).finish == "stop"


@pytest.mark.parametrize("reason", ["length", "MAX_TOKENS", "max_output_tokens", "model_length"])
def test_cuts_are_one(reason: str) -> None:
    assert read(completion("half", reason)) == Reply("half", "length", 100, 20)


@pytest.mark.parametrize(
    "reason",
    ["error", "tool_calls", "function_call", "abort", "insufficient_system_resource", "OTHER", "unheard_of", "a b c"],
)
def test_every_other_reason_is_asked_again_and_its_text_kept_as_evidence(reason: str) -> None:
    fault = parse(completion("half a text", reason))
    assert isinstance(fault, Fault)
    assert (fault.action, fault.failure.kind, fault.text) == (Action.AGAIN_PAID, "broken_reply", "half a text")
    assert "a b c" not in fault.failure.message
    assert "half" not in repr(fault)


@pytest.mark.parametrize(
    "reason",
    ["content_filter", "content_filter: SAFETY", "SAFETY", "RECITATION", "PROHIBITED_CONTENT", "refusal", "sensitive",
     "guardrail_intervened", "content-filter", "BLOCKLIST", "content_filtered"],
)  # fmt: skip
def test_filters_under_other_names(reason: str) -> None:
    fault = parse(completion("part", reason))
    assert isinstance(fault, Fault)
    assert (fault.action, fault.failure.kind, fault.text) == (Action.LOSE, "refused", "part")


@pytest.mark.parametrize(
    "body", [b"\n\n  " + json.dumps(completion("x")).encode(), b"\xef\xbb\xbf" + json.dumps(completion("x")).encode()]
)
def test_blanks_and_a_byte_order_mark_before_the_json(body: bytes) -> None:
    assert isinstance(parse_reply(body), Reply)


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"{}", b"[]", b'"x"', b'{"choices": 5}', b'{"choices": [5]}', b'{"choices": [{}]}',
             b'{"choices": []}', b'{"choices": [{"message": []}]}', b'{"choices": {"0": {}}}', b'{"models": []}'],
)  # fmt: skip
def test_a_200_that_is_no_chat_completion(body: bytes) -> None:
    fault = parse_reply(body)
    assert isinstance(fault, Fault)
    assert (fault.action, fault.failure.kind, fault.refuses_probe) == (Action.AGAIN_PAID, "broken_reply", True)


@pytest.mark.parametrize(
    "choice",
    [
        {"finish_reason": "FINISH_REASON_MAX_TOKENS"},
        {"finish_reason": "FinishReason.MAX_TOKENS"},
        {"finish_reason": "max_completion_tokens"},
        {"finish_reason": "token_limit"},
        {"finish_reason": "truncated"},
        {"finish_reason": "max_length"},
        {"finish_reason": None, "native_finish_reason": "MAX_TOKENS"},
        {"finish_reason": "stop", "native_finish_reason": "length"},
        {},  # its end is not told, and it is as long as it may be
        {"finish_reason": 5},
        {"finish_reason": "null"},
    ],
)
def test_a_cut_by_any_name(choice: dict[str, Any]) -> None:
    body = {"choices": [{"message": {"content": "Yes. Or"}} | choice], "usage": {"completion_tokens": 64}}
    reply = parse_reply(json.dumps(body).encode(), 64)
    assert reply == Reply("Yes. Or", "length", 0, 64)


@pytest.mark.parametrize(
    "reason", ["FINISH_REASON_STOP", "FinishReason.STOP", "eos_found", "stop_str", "end_of_turn", "none", "FINISH_REASON_UNSPECIFIED"]
)  # fmt: skip
def test_a_normal_end_by_any_name(reason: str) -> None:
    body = {"choices": [{"message": {"content": "Yes"}, "finish_reason": reason}], "usage": {"completion_tokens": 63}}
    assert parse_reply(json.dumps(body).encode(), 64) == Reply("Yes", "stop", 0, 63)


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [], "promptFeedback": {"blockReason": "SAFETY"}},
        {"choices": None, "prompt_feedback": {"block_reason": "OTHER"}},
        {"choices": [{"message": {"content": [{"type": "refusal", "refusal": "I cannot"}]}, "finish_reason": "stop"}]},
    ],
)
def test_blocks_and_refusals_in_other_places(body: dict[str, Any]) -> None:
    fault = parse(body)
    assert isinstance(fault, Fault)
    assert (fault.action, fault.failure.kind) == (Action.LOSE, "refused")


def test_an_error_within_a_message_is_one_and_a_success_that_is_told_like_one_is_none() -> None:
    message = {"content": "half a te", "error": {"code": 502, "message": "upstream"}}
    fault = parse({"choices": [{"message": message, "finish_reason": "stop"}]})
    assert isinstance(fault, Fault)
    assert fault.failure.kind == "server_error"
    success = {"error": {"code": 0, "message": "ok"}, "choices": [{"message": {"content": "hi"}}]}
    assert read(success).text == "hi"


@pytest.mark.parametrize("name", ["cache_read_input_tokens", "num_cached_tokens", "prompt_cache_hit_tokens"])
def test_cached_tokens_beside_the_counts(name: str) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 3, name: 90}
    assert read({"choices": [{"message": {"content": "hi"}}], "usage": usage}).cached_tokens == 90
