"""The targets: of each parser how an input is made, and what the parser promises of any input.

A check returns when the promise is kept: a documented exception, or a value with its invariants. Anything else raised
is a failure.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch
from zlib import crc32

import httpx2
import yaml
from hydra import compose as hydra_compose

from mics_ray.assemble.probe_advice import suggest_line
from mics_ray.config.compose import compose_config, dump_yaml, looks_like_key
from mics_ray.config.schema import ModelConfig
from mics_ray.core.display import make_one_line
from mics_ray.core.leaks import LeakGuard
from mics_ray.core.reading.text import format_chain, neutralise_placeholders, parse_answer, parse_continuation
from mics_ray.core.reading.thoughts import drop_thoughts
from mics_ray.core.reading.verdict import parse_verdict
from mics_ray.core.types import Case, Note, Verdict
from mics_ray.errors import RefusedRun
from mics_ray.io.cases import InputError, read_span, survey_cases
from mics_ray.models.chat.classify import classify_status
from mics_ray.models.chat.client import MAX_SAID, ChatClient
from mics_ray.models.chat.key_history import KeyHistory
from mics_ray.models.chat.reply_decoder import parse_error, parse_reply
from mics_ray.models.chat.retry import Fault
from mics_ray.models.chat.retry_hints import find_wait, parse_reset, parse_retry_after, parse_wait
from mics_ray.models.pictures.reading import PictureError, check_picture, load_picture
from mics_ray.models.pictures.size_limits import MAX_PIXELS
from mics_ray.models.roles import read_said
from mics_ray.models.types import Reply, Request
from tests.fuzz import seeds
from tests.fuzz.kept_compose import kept
from tests.fuzz.mutate import mutated
from tests.fuzz.names import NAMES

CONTROL = ("<image>", "<img>", "<img_context>", "<|image_pad|>", "<|im_start|>", "<|endoftext|>", "<video>", "<box>")
MOST_TOKENS = 2**31
WHOLE = 32
"""One configuration of so many is composed by Hydra from its files; of the others only what an input changes."""
Check = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Target:
    """``name``; ``make`` gives an input; ``open`` a check for as long as its context is open, with a folder to use."""

    name: str
    make: Callable[[random.Random], bytes]
    open: Callable[[Path], Check]


def text(data: bytes) -> None:
    """Replies of mentors and interns: read or not, never an exception; what is read is clean."""
    said = data.decode("utf-8", "surrogateescape")
    plain = neutralise_placeholders(said)
    assert neutralise_placeholders(plain) == plain
    assert not any(token in plain.lower() for token in CONTROL)
    answer, chain = parse_answer(said), parse_continuation(said, ("The film is good.",))
    assert answer is None or answer.strip() == answer != ""
    assert (chain is None) == (answer is None)
    if chain is not None:
        assert chain.answer == answer
        assert all(step == step.strip() != "" for step in chain.steps)
        assert parse_continuation(format_chain(chain)) == chain
    thought = drop_thoughts(f"<think>\n{said}\n</think>\n### The final answer is: Bulla")
    assert thought is None or parse_answer(thought) == "Bulla"
    assert read_said(Reply(said, "length")) is None
    for case in _CASES:
        kinds = LeakGuard(case).find_in_step(said)
        assert len(set(kinds)) == len(kinds)
    LeakGuard(Case("c", said, said, (), (Note("Findings", said),))).find_in_step(
        "There is a pneumothorax, as the report says."
    )


_CASES = (
    Case("a", "What is it?", "Pneumothorax", (), (Note("Findings", "a thin white line " * 8),)),
    Case("b", "Is it so?", "No"),
)


def verdict(data: bytes) -> None:
    """A judge's reply: right only where it says yes, wrong only where it says no."""
    said = data.decode("utf-8", "surrogateescape")
    found = parse_verdict(said)
    assert found in Verdict
    told = {Verdict.RIGHT: ("yes", "true"), Verdict.WRONG: ("no", "false")}.get(found, ("",))
    assert any(word in said.lower() for word in told)
    thought = drop_thoughts(f"<think>\n{said}\n</think>\n\nYes")
    assert thought is None or parse_verdict(thought) is not Verdict.WRONG


def reply(data: bytes) -> None:
    """An endpoint's answer: ``status``, ``Retry-After`` and ``Date`` on the first lines, the body behind them."""
    status, after, date, body = [*data.split(b"\n", 3), b"", b"", b""][:4]
    headers = {"Retry-After": after.decode("latin-1"), "Date": date.decode("latin-1")}
    seconds = parse_retry_after(headers)
    assert seconds is None or 0 < seconds <= 86_400
    code = int(status) if status.isdigit() and len(status) < 4 else 500
    fault = classify_status(code, parse_error(body), seconds)
    assert fault.failure.message == str(code)
    found = parse_reply(body)
    if isinstance(found, Reply):
        found.text.encode()
        assert 0 <= found.prompt_tokens < MOST_TOKENS
        assert 0 <= found.completion_tokens < MOST_TOKENS
        assert 0 <= found.cached_tokens <= found.prompt_tokens
        assert 0 <= found.reasoning_tokens <= found.completion_tokens
        assert found.finish in ("stop", "length")
        assert found.cost_usd == 0
    else:
        assert isinstance(found, Fault)
        assert found.failure.message.isascii()


def refusal(data: bytes) -> None:
    """An error's body, a wait beside it: classified, with words that are fit to be shown and a line that is YAML."""
    status, hint, body = [*data.split(b"\n", 2), b"", b""][:3]
    told = hint.decode("latin-1")
    headers = {"X-RateLimit-Reset": told, "X-RateLimit-Remaining": "0", "Retry-After-Ms": told, "Date": told}
    for seconds in (parse_wait(told, 1.7e9), parse_reset(headers), parse_retry_after(headers), find_wait(told)):
        assert seconds is None or 0 < seconds <= 86_400
    code = int(status) if status.isdigit() and len(status) == 3 and int(status) != 200 else 400
    answered = httpx2.Response(code, headers={"Retry-After": "7"}, content=body)
    fault = _CLIENT._read_answer(answered, Request("m", "m", "", "", "", "", 0.0, 1, 0))
    assert isinstance(fault, Fault)
    assert not fault.charged
    assert fault.retry_after is None or 0 < fault.retry_after <= 86_400
    assert "canary" not in repr(fault) + fault.said
    assert fault.said == make_one_line(fault.said)
    assert len(fault.said) <= MAX_SAID + 1
    line = yaml.safe_load(suggest_line(fault, ModelConfig(model="m")) or "{}")
    assert set(line) <= {"extra_body", "max_tokens", "sees_pictures"}
    history = KeyHistory(proven=True)
    for number in range(8):
        judged = history.judge_fault(fault, bytes([number]) * 32, 100.0 * number)
        assert judged == fault or fault.doubtful


_CLIENT = ChatClient("https://host/v1", "sk-canary-key")


def cases(folder: Path) -> Check:
    """A file of cases: refused whole, or each record exactly one case or rejection, of an id of its own."""
    paths = [str(folder / f"x.{suffix}") for suffix in ("jsonl", "json")]

    def read(data: bytes) -> None:
        path = paths[data[:1] in (b"[", b"\n")]
        with open(path, "wb") as file:
            file.write(data)
        try:
            survey = survey_cases(path)
        except InputError:
            return
        found = [item for span in survey.spans for item in read_span(span)]
        ids = {item.id for item in found}
        assert len(ids) == len(found) == survey.records == survey.pending > 0
        assert sum(not isinstance(item, Case) for item in found) == survey.rejections
        assert all(item.id.strip() and item.id.encode() for item in found)
        for item in found:
            if isinstance(item, Case):
                "\n".join((item.question, item.answer, *item.images, *(note.text for note in item.notes))).encode()
                assert item.question.strip()
                assert item.answer.strip()

    return read


def picture(folder: Path) -> Check:
    """A picture: an RGB image within the limits and without metadata, or an error that names it."""
    path = folder / "x.png"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        try:
            image = load_picture(folder, "x.png")
        except PictureError:
            return
        assert image.mode == "RGB"
        assert not image.info
        assert 0 < image.width * image.height <= MAX_PIXELS
        try:
            check_picture(folder, "x.png")
        except PictureError as error:  # what is of one single value is not searched
            assert error.constant  # noqa: PT017

    return read


def config(folder: Path) -> Check:
    """Overrides, one a line, then ``---`` and group files of the user's: a configuration, or one clear line."""
    for group in ("mentors", "judge"):
        (folder / group).mkdir(exist_ok=True)
    quick = kept(hydra_compose, "generate", folder)

    def read(data: bytes) -> None:
        lines, _, body = data.partition(b"\n---\n")
        for group in ("mentors", "judge"):
            (folder / group / "mine.yaml").write_bytes(body)
        said = ""
        whole = crc32(data) % WHOLE == 0
        try:
            with patch("mics_ray.config.compose.compose", hydra_compose if whole else quick):
                found = compose_config(lines.decode("utf-8", "surrogateescape").split("\n"), folder)
        except RefusedRun as refused:
            said = str(refused)
            assert_one_line(said)
        else:
            said = dump_yaml(found)
        assert not looks_like_key(said)

    return read


def assert_one_line(said: str) -> None:
    """A message that a person can read at a glance."""
    assert said.strip()
    assert not {"\n", "\r"} & set(said)


def _plain(check: Check) -> Callable[[Path], Check]:
    return lambda folder: check


def _making(seeds: Sequence[bytes], tokens: Sequence[bytes]) -> Callable[[random.Random], bytes]:
    return lambda rng: mutated(rng, seeds, tokens)


TARGETS = {
    target.name: target
    for target in (
        Target("text", _making(seeds.CHAINS, seeds.CHAIN_TOKENS), _plain(text)),
        Target("verdict", _making(seeds.VERDICTS, seeds.VERDICT_TOKENS), _plain(verdict)),
        Target("reply", _making(seeds.REPLIES, seeds.REPLY_TOKENS), _plain(reply)),
        Target("refusal", _making(seeds.REFUSALS, seeds.REFUSAL_TOKENS), _plain(refusal)),
        Target("cases", _making(seeds.CASES, seeds.CASE_TOKENS), cases),
        Target("pictures", lambda rng: mutated(rng, seeds.pictures(), seeds.PICTURE_TOKENS), picture),
        Target("config", _making(seeds.OVERRIDES, seeds.OVERRIDE_TOKENS), config),
    )
}

assert tuple(TARGETS) == NAMES, "what scripts/fuzz.py offers"


def generator(seed: int, name: str, number: int) -> random.Random:
    """The generator of one input, whatever came before it."""
    return random.Random(f"{seed} {name} {number}")
