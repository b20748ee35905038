"""Why an engine did not start, in one line, found in its error and in what its processes wrote."""

import re
from collections.abc import Callable, Iterator

from mics_ray.core.display import make_one_line

SAID = 400
"""Characters of an error that is told in its own words."""
_GENERIC = ("See root cause above", "See stack trace for root cause", "Engine core initialization failed")
_KILLED = re.compile(r"Failed core proc\(s\): \{[^}]*: -(\d+)")
# What stands before a line of vLLM's log: the process, the level, time and place.
_PREFIX = r"^(?:\([^)]*\) )?(?:[A-Z]+ [\d-]+ [\d:.]+ \[[^\]]*\] )?"
_LAST_LINE = re.compile(_PREFIX + r"((?:\w+\.)*\w*(?:Error|Exception)): (.+)$", re.MULTILINE)
_OF_PYDANTIC = re.compile(r"(?:Value|Assertion) error, (.*?) \[type=", re.DOTALL)


def _describe_small_cache(found: re.Match[str]) -> str:
    length, needed, there, fits = found.groups()
    more = f"; max_model_len {int(fits):,} fits" if fits else ""
    return f"the KV cache is too small for max_model_len {int(length):,}: {needed} GiB needed, {there} there{more}"


_CAUSES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(
            r"max seq len \((\d+)\), \(?([\d.]+) GiB KV cache is needed.*?KV cache memory \(([\d.]+) GiB\)"
            r"(?:.{0,200}?maximum model length is (\d+))?",
            re.DOTALL,
        ),
        _describe_small_cache,
    ),
    (
        re.compile(r"No available memory for the cache blocks"),
        lambda _: (
            "no memory is left for the KV cache beside the weights; more gpus, tensor_parallel or "
            "engine_kwargs.gpu_memory_utilization"
        ),
    ),
    (
        re.compile(r"Free memory on device (\S+) \(([^)]+) GiB\) on startup is less than[^(]*\(([\d.]+)"),
        lambda found: f"of {found[1]} {found[2]} GiB are free, less than gpu_memory_utilization {found[3]} takes",
    ),
    (
        re.compile(r"(?:CUDA|HIP|XPU) out of memory\. Tried to allocate ([\d.]+ \w+)"),
        lambda found: (
            f"the weights do not fit into the GPU's memory ({found[1]} more were asked for); more "
            "tensor_parallel or gpus"
        ),
    ),
    (
        re.compile(r"attention heads \((\d+)\) must be divisible by tensor parallel size \((\d+)\)"),
        lambda found: f"tensor_parallel {found[2]} does not divide the {found[1]} attention heads",
    ),
    (
        re.compile(r"max_model_len \((\d+)\) is greater than the derived max_model_len \(([^=)]*=)?([\d.]+)"),
        lambda found: f"max_model_len {int(found[1]):,} is above what the model takes ({float(found[3]):,.0f})",
    ),
    (
        re.compile(r"incomplete metadata|MetadataIncompleteBuffer|header too (?:large|small)|InvalidHeader", re.I),
        lambda _: "its weights are cut short or damaged",
    ),
    (
        re.compile(r"(?:weights were not initialized from checkpoint|Missing key)[^'\"]*['\"]([\w.]+)"),
        lambda found: f"its weights lack {found[1]}, which config.json has room for",
    ),
    (
        re.compile(r"RuntimeError: (.{0,80}exceeds dimension size.{0,20}|.{0,80}size mismatch.{0,80})"),
        lambda found: f"its weights do not fit its config.json ({found[1].strip()})",
    ),
    (
        re.compile(r"Repo id must be|not a valid (?:model identifier|repo)|[Rr]epo(?:sitory)? [Nn]ot [Ff]ound"),
        lambda _: "no such model: neither a folder of this node nor a repository of the hub",
    ),
)


def explain_failure(error: BaseException, output: str) -> str:
    """The cause of ``error``, which the start of an engine raised; ``output`` is what its processes wrote meanwhile."""
    told = [str(link) for link in _iter_chain(error)]
    # vLLM's core is a process of its own: the caller hears that it ended, its output says why.
    text = "\n".join([*told, output])
    for pattern, describe in _CAUSES:
        if found := pattern.search(text):
            return describe(found)
    own = next((f"{type(link).__name__}: {link}" for link in _iter_chain(error) if _says_something(str(link))), None)
    return _shorten(own or _find_in_output(output) or _describe_end(error))


def _iter_chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, the first cause first."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None:
        chain.insert(0, link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    yield from chain


def _says_something(message: str) -> bool:
    return bool(message.strip()) and not any(words in message for words in _GENERIC)


def _find_in_output(output: str) -> str | None:
    """The first error in the output that is not about another process' error."""
    found = (f"{name}: {words}" for name, words in _LAST_LINE.findall(output) if _says_something(words))
    return next(found, None)


def _describe_end(error: BaseException) -> str:
    if killed := _KILLED.search(str(error)):
        more = "; the system does so where the node's memory is full" if killed[1] == "9" else ""
        return f"its process was killed (signal {killed[1]}){more}"
    return f"{type(error).__name__}: {error}"


def _shorten(told: str) -> str:
    inner = _OF_PYDANTIC.search(told)
    return make_one_line(" ".join((inner[1] if inner else told).split()))[:SAID]
