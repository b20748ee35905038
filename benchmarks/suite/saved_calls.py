"""B10: verdicts that are not asked for, by how alike the interns word their answers; the choice stays the same."""

from collections.abc import Iterator

from benchmarks.harness.figures import Figure, Goal, Setting, current_load
from benchmarks.harness.simulation import Played, SimulatedChat, make_config, play_job

URL = "https://provider/v1"
WORDINGS = {"right or wrong and no other word": 1, "5 wordings": 5, "50 wordings": 50, "no two alike": 10**9}
SAID = (
    "Simulated time. A verdict is saved where the case has had the same answer before, and where the answer is the gold"
    " answer word for word. The choice is compared with that of a judge that is asked about every vote."
)


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """By wording: calls of the judge over votes, and cases whose choice differs."""
    cases = setting.choose(100, 12)
    for label, wordings in WORDINGS.items():
        pairs = [play_pair(cases, wordings, seed) for seed in range(setting.runs)]
        saved = tuple(1 - judged(short) / max(votes(short), 1) for short, _ in pairs)
        yield make_figure(f"share of verdicts saved: {label}", saved)
        differ = tuple(
            float(sum(short.chosen[one] != full.chosen[one] for one in full.chosen)) for short, full in pairs
        )
        yield make_figure(f"cases of {cases} that chose otherwise: {label}", differ, Goal("<=", 0))


def make_figure(name: str, values: tuple[float, ...], goal: Goal | None = None) -> Figure:
    """Counts, which no load can spoil."""
    return Figure("B10", name, "", values, goal, SAID, others=(0.0,), load=(current_load(),))


def play_pair(cases: int, wordings: int, seed: int) -> tuple[Played, Played]:
    """The same cases with what saves verdicts, and with a judge that is asked each time."""
    short = make_config({}, seed, URL, "search=paper")
    # A judge that samples is asked about each vote; the simulated one says the same at any temperature.
    full = make_config({}, seed, URL, "search=paper", "search.match_gold=false", "search.judge_temperature=0.01")
    played = [play_job(config, cases, cases, SimulatedChat(wordings=wordings)) for config in (short, full)]
    return played[0], played[1]


def judged(played: Played) -> int:
    """Calls that the judge answered."""
    return len(played.chat.sent.get("judge-0", ()))


def votes(played: Played) -> int:
    """Answers of interns."""
    return sum(len(sent) for model, sent in played.chat.sent.items() if model.startswith("intern"))
