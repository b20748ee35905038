"""B5: what the driver and the actors grow by over 100,000 cases, their handles and threads too."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from benchmarks.harness.figures import Figure, Goal, Setting, current_load
from benchmarks.harness.processes import ProcessWatch, Sample
from benchmarks.harness.provider import serve_provider
from benchmarks.harness.runs import generate_command, run_watched, write_cases, write_groups

HUNDRED_THOUSAND = 100_000
WARM, EARLY, LATE = 0.4, 0.5, 0.9
"""Of the search: what comes before WARM fills caches; from there to EARLY is compared with what comes after LATE."""
APART = (1 + LATE) / 2 - (WARM + EARLY) / 2
LEAST_LOOKS = 20
ROLES = ("driver", "search worker", "writer", "endpoint actor")
NO_OP = (
    "One run; records that are rejected, so that every case is read, dealt, made a row and committed, and nothing else."
)
CALLS = "One run; a mentor, an intern and a judge without latency, one call of each a case."


@dataclass(frozen=True, slots=True)
class Growth:
    """What a process grew by from the early part of the search to the late one."""

    megabytes: float
    handles: float
    threads: float


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """Cases without a call, as many as the goal names; then fewer cases whose calls are made."""
    cases = setting.choose(HUNDRED_THOUSAND, 10_000)
    watch = run_rejected(setting, cases)
    for role in ROLES[:3]:
        grown = measure_growth(watch, role)
        a_share = HUNDRED_THOUSAND / (cases * APART)
        yield make_figure(f"{role}: growth in 100,000 cases", grown.megabytes * a_share, "MB", NO_OP, Goal("<=", 10))
        yield make_figure(f"{role}: more handles", grown.handles, "", NO_OP, Goal("<=", 1))
        yield make_figure(f"{role}: more threads", grown.threads, "", NO_OP, Goal("<=", 1))
    cases = setting.choose(5000, 1500)
    watch = run_searched(setting, cases)
    for role in ROLES:
        grown = measure_growth(watch, role)
        kilobytes = 1000 * grown.megabytes / (cases * APART)
        yield make_figure(f"{role}: growth a case with calls", kilobytes, "kB", CALLS)
        yield make_figure(f"{role}: more handles, with calls", grown.handles, "", CALLS)


def make_figure(name: str, value: float, unit: str, said: str, goal: Goal | None = None) -> Figure:
    """Memory does not mind what else the machine does."""
    return Figure("B5", name, unit, (value,), goal, said, others=(0.0,), load=(current_load(),))


def run_rejected(setting: Setting, cases: int) -> ProcessWatch:
    """A run of records without an answer."""
    with serve_provider() as provider:
        folder = setting.folder / "rejected"
        write_groups(folder / "conf", provider.url)
        write_cases(folder / "cases.jsonl", cases, without_answer=True)
        return run_watched(generate_command(folder, "window=64"), provider, detailed=True)


def run_searched(setting: Setting, cases: int) -> ProcessWatch:
    """A run of one candidate, one vote and one verdict a case."""
    latency_s = dict.fromkeys(("mentor", "intern", "judge"), 0.0)
    with serve_provider(latency_s=latency_s) as provider:
        folder = setting.folder / "searched"
        write_groups(folder / "conf", provider.url, only_one=True)
        write_cases(folder / "cases.jsonl", cases)
        one = ("search=best_of_n", "search.intern_temperatures=[0.3]", "search.restarts=0", "window=64")
        return run_watched(generate_command(folder, *one), provider, detailed=True)


def measure_growth(watch: ProcessWatch, role: str) -> Growth:
    """Of the process of that role that lived longest; the search is the time in which the worker had work.

    Raises where that was too short to tell.
    """
    begin, end = find_search(watch)
    longest = max((t for t in watch.tracks.values() if t.role == role), key=lambda track: len(track.samples))

    def take(first: float, last: float) -> list[Sample]:
        span = end - begin
        return [one for one in longest.samples if begin + first * span <= one.at <= begin + last * span]

    if len(take(0.0, 1.0)) < LEAST_LOOKS:
        raise RuntimeError("the run was too short to tell its growth")
    early, late = take(WARM, EARLY), take(LATE, 1.0)
    return Growth(*(mean_of(late, name) - mean_of(early, name) for name in ("megabytes", "handles", "threads")))


def mean_of(samples: Sequence[Sample], name: str) -> float:
    """Of one field."""
    return mean(float(getattr(one, name)) for one in samples)


def find_search(watch: ProcessWatch) -> tuple[float, float]:
    """From when the worker has spent a twentieth of its CPU to when it has spent nearly all of it."""
    worker = max((t for t in watch.tracks.values() if t.role == "search worker"), key=lambda t: t.samples[-1].cpu_s)
    total, start = worker.samples[-1].cpu_s, worker.samples[0].cpu_s
    spent = [(one.at, (one.cpu_s - start) / max(total - start, 1e-9)) for one in worker.samples]
    return next(at for at, share in spent if share >= 0.05), next(at for at, share in spent if share >= 0.99)
