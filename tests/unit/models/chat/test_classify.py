"""What the refusals of today's providers mean, over the wire form of each."""

# ruff: noqa: E501 - the providers' sentences stay whole

import json
from typing import Any

import pytest

from mics_ray.models.chat.classify import classify_status
from mics_ray.models.chat.reply_decoder import parse_error, parse_reply, read_words
from mics_ray.models.chat.retry import Action, Fault


def told(message: str = "no", code: Any = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, **more}}


def classify(status: int, body: Any) -> Fault:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fault = classify_status(status, parse_error(data))
    assert not fault.charged
    return fault


DASHSCOPE = told("Allocated quota exceeded, please increase your quota limit. #token-limit", "insufficient_quota")
OPENAI_QUOTA = told(
    "You exceeded your current quota, please check your plan and billing details.", "insufficient_quota"
)
GEMINI = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota, please check your plan and billing details.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "PerMinute"}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"},
        ],
    }
}
FIREWALL = b"<html><title>403 Forbidden</title><body>Request blocked</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "action", "kind"),
    [
        # Filters under other names.
        (400, told("...", "content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}), Action.LOSE, "refused"),
        (400, told("Input data may contain inappropriate content.", "data_inspection_failed"), Action.LOSE, "refused"),
        (400, {"code": "DataInspectionFailed", "message": "Output data may contain ..."}, Action.LOSE, "refused"),
        (400, told("Content Exists Risk", "invalid_request_error"), Action.LOSE, "refused"),
        (400, told("blocked", "prohibited_content"), Action.LOSE, "refused"),
        (400, told("系统检测到输入或生成内容可能包含不安全或敏感内容", "1301"), Action.LOSE, "refused"),
        (400, told("x", "content_policy_violation"), Action.LOSE, "refused"),
        (403, told("Your input was flagged by moderation", 403), Action.LOSE, "refused"),
        # Balances that are empty, whatever the status.
        (402, told("Insufficient Balance", "invalid_request_error"), Action.STOP, "quota"),
        (429, told("余额不足或无可用资源包,请充值。", "1113"), Action.STOP, "quota"),
        (429, told("余额", 1113), Action.STOP, "quota"),
        (429, told("suspended", None, type="exceeded_current_quota_error"), Action.STOP, "quota"),
        (400, {"code": "Arrearage", "message": "Access denied, your account is not in good standing"}, Action.STOP, "quota"),
        (400, told("Your credit balance is too low to access the API", None), Action.STOP, "quota"),
        (403, told("AccountOverdueError", "AccountOverdueError"), Action.STOP, "quota"),
        (403, told("user quota is not enough", "insufficient_user_quota"), Action.STOP, "quota"),
        (429, told("hard limit", "billing_hard_limit_reached"), Action.STOP, "quota"),
        # Limits a minute, and those that are called a quota.
        (429, told("Rate limit reached for gpt-5.1", "rate_limit_exceeded"), Action.AGAIN, "rate_limit"),
        (429, GEMINI, Action.AGAIN, "rate_limit"),
        (429, DASHSCOPE, Action.AGAIN, "rate_limit"),
        (429, OPENAI_QUOTA, Action.STOP, "quota"),
        (429, told("慢", "1302"), Action.AGAIN, "rate_limit"),
        (429, FIREWALL, Action.AGAIN, "rate_limit"),
        # Parameters, pictures, room.
        (
            400,
            told("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."),
            Action.LOSE,
            "bad_request",
        ),
        (400, told("Unsupported value: 'temperature' does not support 1.2 with this model. Only 1"), Action.LOSE, "bad_request"),
        (422, {"detail": [{"loc": ["body", "seed"], "msg": "extra fields not permitted"}]}, Action.LOSE, "bad_request"),
        (400, told("parameter.enable_thinking must be set to false"), Action.LOSE, "bad_request"),
        (400, told("unknown variant `image_url`, expected `text`"), Action.LOSE, "bad_request"),
        (
            400,
            told("max_tokens is too large: 16384. This model supports at most 8192 completion tokens", None, param="max_tokens"),
            Action.LOSE,
            "too_much_room",
        ),
        (400, told("Range of max_tokens should be [1, 8192]", "InvalidParameter"), Action.LOSE, "too_much_room"),
        (400, told("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"), Action.LOSE, "too_much_room"),
        (400, told("`max_tokens` must be less than or equal to `8192`"), Action.LOSE, "too_much_room"),
        (400, told("max_tokens: 16384 > 8192, which is the maximum allowed number of output tokens"), Action.LOSE, "too_much_room"),
        (400, told("it has a maxOutputTokens value of 16384 but the supported range is from 1 to 8193"), Action.LOSE, "too_much_room"),
        (
            400,
            told("This model's maximum context length is 8192 tokens. However, you requested 17000 tokens (1000 in the messages, 16000 in the completion)."),
            Action.LOSE,
            "too_much_room",
        ),
        (
            400,
            told("'max_tokens' or 'max_completion_tokens' is too large: 16384. This model's maximum context length is 8192 tokens and your request has 1000 input tokens (16384 > 8192 - 1000)."),
            Action.LOSE,
            "too_much_room",
        ),
        (
            400,
            told("This model's maximum context length is 8192 tokens. However, your request has 9000 input tokens."),
            Action.LOSE,
            "too_long",
        ),
        (400, told("Input is too long for requested model", "context_length_exceeded"), Action.LOSE, "too_long"),
        # Addresses, models, keys.
        (404, {"detail": "Not Found"}, Action.AGAIN, "server_error"),
        (404, told("Invalid URL (POST /chat/completions)", None), Action.STOP, "no_chat_api"),
        (404, told("Resource not found", "404"), Action.STOP, "no_chat_api"),
        (404, told("The API deployment for this resource does not exist.", "DeploymentNotFound"), Action.STOP, "unknown_model"),
        (404, told("No endpoints found for x/y", 404), Action.STOP, "unknown_model"),
        (404, told("models/x is not found for API version v1beta", 404), Action.STOP, "unknown_model"),
        (404, told("model 'x' not found, try pulling it first"), Action.STOP, "unknown_model"),
        (405, FIREWALL, Action.LOSE, "no_chat_api"),
        (403, FIREWALL, Action.STOP, "auth"),
        (406, FIREWALL, Action.LOSE, "bad_request"),
    ],
)  # fmt: skip
def test_status(status: int, body: Any, action: Action, kind: str) -> None:
    fault = classify(status, body)
    assert (fault.action, fault.failure.kind) == (action, kind)
    assert fault.failure.message == str(status)
    assert fault.refuses_probe == (action in (Action.STOP, Action.LOSE) or status == 404)


@pytest.mark.parametrize(
    ("status", "body", "doubtful"),
    [
        (403, FIREWALL, True),
        (403, {"message": "Forbidden"}, True),
        (403, {"success": False, "errors": [{"code": 1020}]}, True),
        (403, told("Your API key does not have access"), False),
        (403, told("The caller does not have permission", 403, status="PERMISSION_DENIED"), False),
        (403, told("Country, region, or territory not supported", "unsupported_country_region_territory"), False),
        (401, FIREWALL, False),
        (429, OPENAI_QUOTA, True),
        (429, DASHSCOPE, True),
        (429, told("hard limit", "billing_hard_limit_reached"), False),
        (429, GEMINI, False),
        (402, told("Insufficient Balance"), False),
    ],
)
def test_what_a_key_that_works_speaks_against(status: int, body: Any, doubtful: bool) -> None:
    assert classify(status, body).doubtful == doubtful


def test_a_wait_in_the_details_and_a_minute_where_none_is_told() -> None:
    assert classify(429, GEMINI).retry_after == 34
    assert classify(429, DASHSCOPE).retry_after == 60
    assert classify(429, told("Please try again in 6.5s.", "rate_limit_exceeded")).retry_after == 6.5
    assert classify(429, told("slow down")).retry_after is None
    assert classify(400, told("retry after 30 s")).retry_after is None, "it is not asked again"


@pytest.mark.parametrize(
    ("error", "action", "kind"),
    [
        ({"message": "Rate limit exceeded", "code": 429}, Action.AGAIN, "rate_limit"),
        ({"message": "Rate limit exceeded", "code": "429"}, Action.AGAIN, "rate_limit"),
        ({"message": "x", "code": "rate_limit_exceeded"}, Action.AGAIN, "rate_limit"),
        ({"message": "Insufficient credits", "code": 402}, Action.STOP, "quota"),
        ({"message": "Provider returned error", "code": 502}, Action.AGAIN, "server_error"),
        ({"message": "x", "type": "overloaded_error"}, Action.AGAIN, "server_error"),
        ({"message": "x", "code": 401}, Action.STOP, "auth"),
        ({"message": "x", "code": "invalid_api_key"}, Action.STOP, "auth"),
        ({"message": "x", "code": 400, "metadata": {"raw": "content_filter"}}, Action.LOSE, "refused"),
        ({"message": "x", "code": "data_inspection_failed"}, Action.LOSE, "refused"),
        ({"message": "max_tokens is too large: 9", "code": 400}, Action.LOSE, "too_much_room"),
        ({"message": "model not found", "code": 404}, Action.STOP, "unknown_model"),
        ({"message": "who knows"}, Action.AGAIN_PAID, "broken_reply"),
        ({"message": "Rate limit exceeded"}, Action.AGAIN_PAID, "broken_reply"),
        ({"message": "who knows", "code": "strange"}, Action.AGAIN_PAID, "broken_reply"),
        ({"message": "who knows", "code": 99999}, Action.AGAIN_PAID, "broken_reply"),
        ({"message": "who knows", "code": 200}, Action.AGAIN_PAID, "broken_reply"),
        ("who knows", Action.AGAIN_PAID, "broken_reply"),
        (["who knows"], Action.AGAIN_PAID, "broken_reply"),
    ],
)
@pytest.mark.parametrize("usage", [None, {"prompt_tokens": 100, "completion_tokens": 5}])
def test_an_error_inside_a_200_by_its_own_code(error: Any, action: Action, kind: str, usage: Any) -> None:
    """Also where it stands in the choice, beside half a text; paid only if tokens were counted."""
    half = {"message": {"content": "half a te"}, "finish_reason": "error", "error": error}
    for body in ({"error": error}, {"choices": [half], "usage": usage}):
        fault = parse_reply(json.dumps(body).encode())
        assert isinstance(fault, Fault)
        assert (fault.action, fault.failure.kind) == (action, kind)
        assert fault.charged == ("choices" in body and usage is not None)
        assert "who knows" not in repr(fault)
        assert fault.refuses_probe == (action in (Action.STOP, Action.LOSE, Action.AGAIN_PAID))


def test_other_shapes_of_an_error_inside_a_200() -> None:
    minimax = {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}
    dashscope = {"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded", "request_id": "x"}
    for body, kind in (
        (minimax, "quota"),
        (dashscope, "rate_limit"),
        ({"object": "error", "message": "x", "code": 503}, "server_error"),
    ):
        fault = parse_reply(json.dumps(body).encode())
        assert isinstance(fault, Fault)
        assert fault.failure.kind == kind


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (told("Unsupported parameter"), "Unsupported parameter"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"detail": [{"loc": ["body", "seed"], "msg": "extra"}]}, '[{"loc": ["body", "seed"], "msg": "extra"}]'),
        ({"error": "plain"}, "plain"),
        (told("outer", 400, metadata={"raw": "inner"}), "outer inner"),
        ({"object": "error", "message": {"detail": ["x"]}}, '{"detail": ["x"]}'),
        ([], ""),
    ],
)
def test_the_providers_own_words(body: Any, words: str) -> None:
    assert read_words(json.dumps(body).encode()) == words
    assert read_words(FIREWALL) == ""


@pytest.mark.parametrize(
    ("status", "message", "action", "kind"),
    [
        # Servers of one machine call a request that their model cannot serve an error of their own.
        (500, "Failed to process inputs: this model is missing data required for image input", Action.LOSE, "bad_request"),
        (500, "image input is not supported - hint: you may need to provide the mmproj", Action.LOSE, "bad_request"),
        (500, "litellm.UnsupportedParamsError: openai does not support parameters: ['seed']", Action.LOSE, "bad_request"),
        (500, "CUDA out of memory", Action.AGAIN, "server_error"),
        (503, "The image service is not available, try again", Action.AGAIN, "server_error"),
        (501, "Unsupported method ('POST')", Action.LOSE, "no_chat_api"),
        # Money that is gone.
        (412, "Account x is suspended, possibly due to reaching the monthly spending limit", Action.STOP, "quota"),
        (429, "Your team has either used all available credits or reached its monthly spending limit.", Action.STOP, "quota"),
        (429, "Your account [1] has reached the set inference limit for the [x] model", Action.STOP, "quota"),
        (429, "You have exhausted your free trial quota", Action.STOP, "quota"),
        (403, "The free tier of the model has been exhausted.", Action.STOP, "quota"),
        (429, "Quota exceeded for metric: generate_content_free_tier_requests, limit: 15", Action.AGAIN, "rate_limit"),
        # The prompt fits, the reply does not.
        (400, "Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of "
         "17384 tokens: 1000 tokens from the input messages and 16384 tokens for the completion.", Action.LOSE, "too_much_room"),
        (400, "You passed 7169 input tokens and requested 8192 output tokens. However, the model's context length is only "
         "8192 tokens, resulting in a maximum input length of 0 tokens.", Action.LOSE, "too_much_room"),
        (400, "You passed 9000 input tokens and requested 64 output tokens. However, the model's context length is only "
         "8192 tokens.", Action.LOSE, "too_long"),
    ],
)  # fmt: skip
def test_refusals_of_more_servers(status: int, message: str, action: Action, kind: str) -> None:
    error = parse_error(json.dumps(told(message, None)).encode())
    fault = classify_status(status, error)
    assert (fault.action, fault.failure.kind) == (action, kind)
    assert fault.refuses_probe == (action is not Action.AGAIN)


def test_a_path_that_is_missing_may_be_told_in_a_200() -> None:
    fault = parse_reply(b'{"code": 500, "msg": "404 NOT_FOUND", "success": false}')
    assert isinstance(fault, Fault)
    assert (fault.failure.kind, fault.refuses_probe) == ("no_chat_api", True)
