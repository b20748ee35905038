"""The protocol: what is sent, and what is made of every kind of body."""

import base64
import json

import pytest

from mics_ray.models.chat.classify import ErrorBody
from mics_ray.models.chat.reply_decoder import parse_error, parse_reply
from mics_ray.models.chat.retry import Action, Fault
from mics_ray.models.chat.wire_format import PictureParts, encode_request
from mics_ray.models.types import Pictures, Reply, Request
from tests.support.faulty_server import completion

PNG, JPEG = b"\x89PNG\r\n\x1a\n rest", b"\xff\xd8\xff rest"


def request(text: str = "Why?", system: str = "") -> Request:
    return Request("m", "model-1", "", system, text, "", 0.3, 64, 7)


def test_text_only() -> None:
    assert json.loads(encode_request(request(), [])) == {
        "model": "model-1",
        "messages": [{"role": "user", "content": "Why?"}],
        "temperature": 0.3,
        "max_tokens": 64,
        "seed": 7,
    }


def test_pictures_go_before_the_text_in_their_order() -> None:
    parts = PictureParts().encode_pictures(Pictures("d", (PNG, JPEG)))
    system, user = json.loads(encode_request(request(system="Be brief."), parts))["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    first, second, text = user["content"]
    assert first["image_url"]["url"] == "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert second["image_url"]["url"] == "data:image/jpeg;base64," + base64.b64encode(JPEG).decode()
    assert text == {"type": "text", "text": "Why?"}


@pytest.mark.parametrize("count", ["-5", "9" * 25, "2147483648", "null"])
def test_a_count_of_tokens_that_cannot_be_is_taken_as_not_told(count: str) -> None:
    """A negative one would lower what was spent, a huge one could not be written into a row."""
    usage = f'{{"prompt_tokens": {count}, "completion_tokens": 7}}'
    body = f'{{"choices": [{{"message": {{"content": "x"}}}}], "usage": {usage}}}'
    assert parse_reply(body.encode()) == Reply("x", "stop", 0, 7)


def test_recent_pictures_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    real = base64.b64encode
    monkeypatch.setattr(base64, "b64encode", lambda data: encoded.append(data) or real(data))
    parts = PictureParts(capacity=2000)
    a, b, c = (Pictures(name, (PNG + name.encode() * 500,)) for name in "abc")  # room for two of the three
    for pictures in (a, b, a, c, a):
        parts.encode_pictures(pictures)
    assert [data[-1:] for data in encoded] == [b"a", b"b", b"c"]
    parts.encode_pictures(b)  # the one that was not used for longest had to go
    assert encoded[-1][-1:] == b"b"


def test_lone_surrogates_and_nul() -> None:
    assert json.loads(encode_request(request("a\ud800\0\u202e"), []))["messages"][0]["content"] == "a?\0\u202e"
    assert parse_reply(json.dumps(completion("x\ud800y\0")).encode()) == Reply("x?y\0", "stop", 100, 20)


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (completion("fine"), Reply("fine", "stop", 100, 20)),
        (completion("cut", "length"), Reply("cut", "length", 100, 20)),
        (completion(None, "length"), Reply("", "length", 100, 20)),
        (completion(""), Reply("", "stop", 100, 20)),
        ({"choices": [{"message": {"content": "bare"}}], "usage": None}, Reply("bare")),
        ({"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": None}}, Reply("x")),
    ],
)
def test_replies(body: object, reply: Reply) -> None:
    assert parse_reply(json.dumps(body).encode()) == reply


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"choices": [{"mess',
        b"<html>busy</html>",
        b"\xff\xfe",
        b"null",
        b"[" * 100_000,
        b'{"error": {"message": "overloaded"}}',
        b'{"choices": null}',
        b'{"choices": []}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"content": null}}]}',
        b'{"choices": [{"message": {"content": 5}}]}',
    ],
)
def test_broken_bodies(body: bytes) -> None:
    fault = parse_reply(body)
    assert isinstance(fault, Fault)
    assert (fault.action, fault.failure.kind) == (Action.AGAIN_PAID, "broken_reply")


@pytest.mark.parametrize(
    ("body", "evidence"),
    [(completion("part", "content_filter"), "part"), (completion(None, refusal="I will not."), "I will not.")],
)
def test_refusals(body: object, evidence: str) -> None:
    fault = parse_reply(json.dumps(body).encode())
    assert isinstance(fault, Fault)
    assert (fault.action, fault.failure.kind, fault.text) == (Action.LOSE, "refused", evidence)
    assert evidence not in repr(fault)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"error": {"code": "c", "message": "m"}}', ErrorBody("c", "m")),
        ('[{"error": {"code": 400, "status": "S", "message": "m"}}]', ErrorBody("S", "m", 400)),
        (
            '{"object": "error", "message": "m", "type": "NotFoundError", "code": 404}',
            ErrorBody("NotFoundError", "m", 404),
        ),
        ('{"error": "plain"}', ErrorBody("", "plain")),
        ('{"detail": "Not Found"}', None),
        ("<html>", None),
        ("[]", None),
        ("3", None),
        ("[" * 100_000, None),
    ],
)
def test_error_bodies(body: str, error: ErrorBody | None) -> None:
    assert parse_error(body.encode()) == error


def test_pictures_larger_than_the_whole_room_are_kept_until_others_come(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    real = base64.b64encode
    monkeypatch.setattr(base64, "b64encode", lambda data: encoded.append(data) or real(data))
    parts = PictureParts(capacity=100)
    large, other = (Pictures(name, (PNG + name.encode() * 500,)) for name in "ab")
    for pictures in (large, large, other, other, large):
        assert len(parts.encode_pictures(pictures)) == 1
    assert [data[-1:] for data in encoded] == [b"a", b"b", b"a"]


def test_the_room_that_went_to_pictures_let_go_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    real = base64.b64encode
    monkeypatch.setattr(base64, "b64encode", lambda data: encoded.append(data) or real(data))
    parts = PictureParts(capacity=2000)  # room for two
    for number in range(20):
        parts.encode_pictures(Pictures(f"{number}", (PNG + b"x" * 500,)))
    assert len(encoded) == 20
    parts.encode_pictures(Pictures("18", (PNG + b"x" * 500,)))
    assert len(encoded) == 20, "the last two are kept however many came before"
