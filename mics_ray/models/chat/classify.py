"""What a provider's refusal means: the one place that reads statuses, error codes and the words of an error.

Messages hold the status and the provider's error code, never a key and never text of a request or a reply.
"""

import re
import socket
import ssl
from dataclasses import dataclass, field

import aiohttp

from mics_ray.models.chat.retry import Action, Fault
from mics_ray.models.types import Failure

MINUTE_S = 60.0
"""How long an entry is parked by a limit a minute that does not say when it ends."""

BALANCE = re.compile(
    r"insufficient[ _]?(account[ _])?(balance|credits?|funds)|credit balance|not enough credits?|out of credits?|"
    r"balance (is )?(too low|not enough|insufficient)|billing_(hard_limit|not_active)|\barrear|account[ _]?overdue|"
    r"overdue[ _]?(payment|balance|bill)|exceeded_current_quota_error|insufficient_user_quota|payment required|"
    r"account .{0,60}suspended|used all available credits|spending limit|set inference limit|exhausted your free|"
    r"free (trial|tier)( \w+){0,4} has been exhausted|余额|欠费",
    re.I,
)
BALANCE_CODES = (1113, 1008)  # Zhipu, MiniMax
QUOTA = re.compile(r"insufficient[ _]quota", re.I)
PER_MINUTE = re.compile(
    r"allocated quota|token-limit|rate[ _-]?limit|per[ _-]?(minute|second|day)|\b(rpm|tpm|rps|tps)\b|too many requests|"
    r"requests? (rate|limit)|throttl|frequen|burst",
    re.I,
)
UNKNOWN_MODEL = re.compile(r"\bmodels?\b.{0,120}\bnot (exist|found)\b|\b(unknown|no such|invalid) model\b", re.I | re.S)
MODEL = re.compile(r"model|deployment|engine|endpoints? found", re.I)
NO_API = re.compile(r"invalid url|\b(url|path|route|resource|page)\b|not[ _]found", re.I)
TOO_LONG = re.compile(r"context[ _](length|window)|maximum (model|input|prompt) length|too long|too many tokens", re.I)
_MAX_TOKENS = r"max(imum)?[ _]?(completion|output|new)?[ _]?tokens\b"
ROOM = re.compile(
    rf"{_MAX_TOKENS}.{{0,160}}?(too (large|high|big)|range|at most|less than|exceed|maximum|[<≤>]|up to|limit)|"
    rf"(exceed|greater|more|larger|range).{{0,60}}{_MAX_TOKENS}",
    re.I | re.S,
)
CONTEXT = re.compile(r"context[ _](?:length|window) (?:is|of)(?: only)? (\d{1,9})", re.I)
IN_PROMPT = re.compile(
    r"(\d{1,9})\D{0,24}(?:in the messages|of text input|input tokens|from the input|in your prompt)", re.I
)
UNABLE = re.compile(
    r"(images?|pictures?|vision|multi-?modal)\b.{0,40}\bnot (supported|enabled|allowed)|"
    r"((\bnot|n't) support\w*|unsupported).{0,30}(image|vision|multi-?modal|parameter)|required for image|mmproj|"
    r"not a (multi-?modal|vision)|unsupported ?(param|value|argument)|unknown variant",
    re.I,
)
"""What a server says that calls a request which it cannot serve an error of its own."""
FILTERED = re.compile(
    r"content[ _-]?(filter|policy|management|exists? risk|moderation)|moderation|responsible_?ai|flagged|"
    r"data_?inspection|prohibited|inappropriate|guardrail|blocklist|safety|sensitive|unsafe|敏感|risk_?control",
    re.I,
)
FILTER_CODES = (1301, 1026, 1027)  # Zhipu, MiniMax
RATE_CODES = (1302, 1303, 1305, 1002, 1039)
BAD_KEY = re.compile(r"\bapi[ _-]?key\b", re.I)
NO_RIGHT = re.compile(
    r"\bkey\b|permission|authenticat|unauthori[sz]ed|not (allowed|authori[sz]ed|supported) in|country|region|"
    r"subscription",
    re.I,
)
NO_HOST = (socket.EAI_NONAME, socket.EAI_NODATA)
"""What a name server answers that works; without one, as on a machine off the net, it is another code."""
OVERLOADED = re.compile(
    r"overload|unavailable|time[ds]?[ _-]?out|internal[ _](server[ _])?error|server[ _]error|bad gateway|try again|"
    r"no (healthy|available)|upstream|capacity|busy",
    re.I,
)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a provider says of an error: its ``code`` and ``message`` ("" where there is none). Not fit for messages.

    ``number`` is a code that is a number, ``details`` whatever else was said in words, ``wait_s`` the seconds that it
    asks for.
    """

    code: str = ""
    message: str = field(default="", repr=False)
    number: int | None = None
    details: str = field(default="", repr=False)
    wait_s: float | None = None

    @property
    def words(self) -> str:
        """All of it, to look for words in."""
        return f"{self.code} {self.message} {self.details}"


def classify_exception(error: BaseException) -> Fault:
    """No answer: timeout, reset, refused, DNS, TLS, proxy. The SDK wraps them; what counts is the innermost cause.

    Only types are reported, for texts may hold anything; of a certificate, what OpenSSL says about it.
    """
    chain = _list_causes(error)
    untrusted = [cause for cause in chain if isinstance(cause, ssl.SSLCertVerificationError)]
    if untrusted:  # aiohttp's own error is one, too, but has no message
        said = re.sub(r"[^\x20-\x7e]", "", getattr(untrusted[-1], "verify_message", ""))[:120]
        message = f"the certificate is not trusted: {said}; SSL_CERT_FILE names a file of certificates to trust"
        return Fault(Action.STOP, Failure("certificate", message), charged=False, doubtful=True, refuses_probe=True)
    refused = next((cause for cause in chain if isinstance(cause, aiohttp.ClientHttpProxyError)), None)
    if refused is not None:
        return _refuse_by_proxy(refused.status)
    unsent = any(isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) for cause in chain)
    # Without a connection it is no slow model, however long it took.
    kind = "timeout" if not unsent and any(isinstance(cause, TimeoutError) for cause in chain) else "connection"
    no_tls = any(getattr(cause, "reason", None) == "WRONG_VERSION_NUMBER" for cause in chain)
    no_host = any(isinstance(cause, socket.gaierror) and cause.errno in NO_HOST for cause in chain)
    named = "no TLS there: is it http?" if no_tls else "no host has this name" if no_host else type(chain[-1]).__name__
    return Fault(Action.AGAIN, Failure(kind, named), charged=not unsent, refuses_probe=no_tls or no_host)


def _refuse_by_proxy(status: int) -> Fault:
    failure = Failure("connection", f"the proxy answered {status}")
    return Fault(Action.AGAIN, failure, charged=False, refuses_probe=status in (400, 401, 403, 405, 407))


class UnusableProxy(Exception):
    """A proxy variable of the environment holds no address of an http proxy."""


def refuse_proxy() -> Fault:
    """What :class:`UnusableProxy` means for a call. Nothing is said of the address: it may hold a password."""
    failure = Failure("proxy", "the proxy that a variable of the environment names is none of http")
    return Fault(Action.STOP, failure, charged=False, refuses_probe=True)


def _list_causes(error: BaseException) -> list[BaseException]:
    """``error`` and what it came from, the innermost last."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def classify_status(
    status: int, error: ErrorBody | None, retry_after: float | None = None, safe_code: str = ""
) -> Fault:
    """Classify an HTTP status that is not 200. ``error`` is ``None`` for a body that is not an error in JSON."""
    if status == 407:  # of https a proxy's refusal is an exception, of http it is an answer
        return _refuse_by_proxy(status)
    told = error or ErrorBody()
    action, kind, doubtful = _decide(status, error, told)
    wait = (told.wait_s if retry_after is None else retry_after) if action is Action.AGAIN or doubtful else None
    return Fault(
        action,
        Failure(kind, f"{status} {safe_code}".strip()),
        MINUTE_S if wait is None and kind == "rate_limit" and doubtful else wait,
        charged=False,
        doubtful=doubtful,
        refuses_probe=action in (Action.STOP, Action.LOSE) or status == 404,
    )


def classify_told_error(error: ErrorBody, safe_code: str = "") -> Fault:
    """Classify an error that came inside a 200, by its own code; one without a code is asked again, three times."""
    status = error.number if error.number is not None and 400 <= error.number < 600 else _find_status(error)
    status = 404 if error.message.startswith("404") else status  # Zhipu: code 500, "404 NOT_FOUND"
    if status is None:
        failure = Failure("broken_reply", f"200 with an error {safe_code}".strip())
        return Fault(Action.AGAIN_PAID, failure, error.wait_s, charged=False, refuses_probe=True)
    return classify_status(status, error, None, f"in a 200 {safe_code}".strip())


def _find_status(error: ErrorBody) -> int | None:
    """The status that an error without one would have had, by its code and words; ``None`` where it has no code."""
    said = error.words
    if error.number in BALANCE_CODES or BALANCE.search(said):
        return 402
    if error.number is None and not error.code:
        return None
    if error.number in FILTER_CODES or FILTERED.search(said):
        return 400
    if error.number in RATE_CODES or PER_MINUTE.search(said) or QUOTA.search(said):
        return 429
    if re.search(r"invalid_api_key|invalid_authentication|authentication_error", said, re.I):
        return 401
    if "model_not_found" in said or UNKNOWN_MODEL.search(said):
        return 404
    if TOO_LONG.search(said) or "invalid_request" in said:
        return 400
    return 503 if OVERLOADED.search(said) else None


def _decide(status: int, error: ErrorBody | None, told: ErrorBody) -> tuple[Action, str, bool]:
    """What follows, the failure's kind, and whether a key that works speaks against it. The order decides."""
    said = told.words
    if status == 402 or (status < 500 and (told.number in BALANCE_CODES or BALANCE.search(said))):
        return Action.STOP, "quota", False
    if status == 429:
        return _decide_limit(said)
    # A 403 about content loses one call, another may end the run.
    if status in (400, 403, 451) and (told.number in FILTER_CODES or FILTERED.search(said)):
        return Action.LOSE, "refused", False
    if status in (401, 403) or (status == 400 and BAD_KEY.search(said)):
        return Action.STOP, "auth", status == 403 and not (BAD_KEY.search(said) or NO_RIGHT.search(said))
    if status in (400, 413, 422) and (about_size := _find_size_kind(said)):
        return Action.LOSE, about_size, False
    if "model_not_found" in said or (status == 400 and UNKNOWN_MODEL.search(said)):
        return Action.STOP, "unknown_model", False
    if status == 404:
        return _decide_not_found(error, said)
    if status in (405, 501):
        return Action.LOSE, "no_chat_api", False
    if (status >= 500 and not UNABLE.search(said)) or status in (408, 409, 425, 498):
        return Action.AGAIN, "server_error", False
    return Action.LOSE, "bad_request", False


def _decide_limit(said: str) -> tuple[Action, str, bool]:
    if not QUOTA.search(said):
        return Action.AGAIN, "rate_limit", False
    return (Action.AGAIN, "rate_limit", True) if PER_MINUTE.search(said) else (Action.STOP, "quota", True)


def _find_size_kind(said: str) -> str:
    """``too_much_room`` where the prompt fits and ``max_tokens`` does not, ``too_long`` where the prompt does not."""
    if (whole := CONTEXT.search(said)) is not None and (prompt := IN_PROMPT.search(said)) is not None:
        return "too_much_room" if int(prompt[1]) < int(whole[1]) else "too_long"
    if ROOM.search(said) and "unsupported" not in said.lower():
        return "too_much_room"
    return "too_long" if TOO_LONG.search(said) else ""


def _decide_not_found(error: ErrorBody | None, said: str) -> tuple[Action, str, bool]:
    if error is None:  # from a proxy whose backend is away, or from a server that knows no such path
        return Action.AGAIN, "server_error", False
    if NO_API.search(said) and not MODEL.search(said):
        return Action.STOP, "no_chat_api", False
    return Action.STOP, "unknown_model", False
