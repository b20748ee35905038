"""The summary of a review as tables and charts, for the terminal and the report."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mics_ray.intervals import Interval, accuracy_interval
from mics_ray.review.data.chart import Chart, Series, format_value
from mics_ray.review.data.tally import SCORE_BINS, find_bin
from mics_ray.review.page.build import Table
from mics_ray.review.summary.agreement import Agreement, compare_raters, group_ratings, measure_cohen
from mics_ray.review.summary.collect import CLOSING, JudgedChain, JudgedStep, ReviewTally

Judged = JudgedStep | JudgedChain
GOOD, BAD = ("right", "accept"), ("wrong", "reject")
JUDGE, PEOPLE = "judge", "reviewers"


@dataclass(frozen=True, slots=True)
class Share:
    """How many verdicts are good; ``value`` is the share among good and bad ones, ``unsure`` stands apart."""

    good: int
    bad: int
    unsure: int
    interval: Interval

    @property
    def value(self) -> float | None:
        """The share; ``None`` of nothing."""
        return self.good / (self.good + self.bad) if self.good + self.bad else None


def count_share(marks: Iterable[Judged]) -> Share:
    """The share of steps right, or of chains accepted, with its 95 % interval; pictures are the clusters."""
    marks = list(marks)
    known = [one for one in marks if one.verdict in (*GOOD, *BAD)]
    values = [float(one.verdict in GOOD) for one in known]
    good = int(sum(values))
    interval = accuracy_interval(values, [one.pictures for one in known])
    return Share(good, len(known) - good, len(marks) - len(known), interval)


def list_tables(tally: ReviewTally) -> list[Table]:
    """All tables; empty where nobody has marked anything."""
    if not tally.steps and not tally.chains:
        return []
    return [
        *_tabulate_reviewers(tally),
        _tabulate_shares("Steps right, by mentor", "mentor", tally.steps, lambda one: one.mentor),
        _tabulate_shares("Steps right, by round", "round", tally.steps, lambda one: one.round),
        *_tabulate_scores(tally),
        _tabulate_agreement(tally),
    ]


def list_review_charts(tally: ReviewTally) -> list[Chart]:
    """Steps right by round and mentor, and whether scores are what they say; only those with something to show."""
    found = [_chart_mentors(tally), _chart_scores(tally)]
    return [chart for chart in found if chart.places]


def _tabulate_reviewers(tally: ReviewTally) -> list[Table]:
    words = (
        "Shares are of right and wrong; unsure stands apart. They are of the chains that were marked: a sample gives "
        "rare scores a place each, and an order by uncertainty takes the chains first whose votes are split."
    )
    if tally.strangers:
        words += f" {tally.strangers:,} marks are of chains that the run does not hold (any more), and are left out."
    names = sorted(tally.books)
    steps = [count_share(one for one in tally.steps if one.reviewer == name) for name in names]
    chains = [count_share(one for one in tally.chains if one.reviewer == name) for name in names]
    return [
        Table(
            "Review by people: steps",
            words,
            ["reviewer", *_SHARE_HEAD],
            [[name, *_tell_share(share)] for name, share in zip(names, steps, strict=True)],
        ),
        Table(
            "Review by people: chains",
            "Chains that a reviewer accepts as they stand.",
            ["reviewer", "accepted", "rejected", "share accepted", "95 % interval"],
            [
                [name, f"{share.good:,}", f"{share.bad:,}", *_tell_value(share)]
                for name, share in zip(names, chains, strict=True)
            ],
        ),
    ]


_SHARE_HEAD = ("right", "wrong", "unsure", "share right", "95 % interval")


def _tell_share(share: Share) -> list[str]:
    return [f"{share.good:,}", f"{share.bad:,}", f"{share.unsure:,}", *_tell_value(share)]


def _tell_value(share: Share) -> list[str]:
    return [format_value(share.value, "share"), _tell_interval(share.interval)]


def _tell_interval(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return "–"
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"


def _tabulate_shares(title: str, first: str, steps: Sequence[JudgedStep], read: Callable[[JudgedStep], str]) -> Table:
    # Rounds are numbers, and what is no round comes last.
    names = sorted(
        {read(one) for one in steps}, key=lambda name: (name == CLOSING, len(name) if name.isdigit() else 0, name)
    )
    rows = [[name, *_tell_share(count_share(one for one in steps if read(one) == name))] for name in names]
    words = "Steps of one picture vary together. closing: steps that the last mentor wrote after the last scored one."
    return Table(title, words, [first, *_SHARE_HEAD], rows)


def _tabulate_scores(tally: ReviewTally) -> list[Table]:
    steps = "Steps by the MICS-Score of their candidate. A step from which every intern got there may still be wrong."
    chains = "Chains by the MICS-Score of their last scored candidate."
    return [
        Table("Steps by MICS-Score", steps, ["MICS-Score", *_SHARE_HEAD], _list_bins(tally.steps, _tell_share)),
        Table(
            "Chains by MICS-Score: is a score of 1 a good chain?",
            chains,
            ["MICS-Score", "accepted", "rejected", "share accepted", "95 % interval"],
            _list_bins(tally.chains, lambda share: [f"{share.good:,}", f"{share.bad:,}", *_tell_value(share)]),
        ),
    ]


def _list_bins(marks: Sequence[Judged], tell: Callable[[Share], list[str]]) -> list[list[str]]:
    rows = []
    for name in SCORE_BINS:
        if found := _in_bin(marks, name):
            rows.append([name, *tell(count_share(found))])
    return rows


def _in_bin(marks: Sequence[Judged], name: str) -> list[Judged]:
    return [one for one in marks if one.score is not None and find_bin(one.score) == name]


def _tabulate_agreement(tally: ReviewTally) -> Table:
    steps = compare_raters(group_ratings((one.reviewer, one.item, one.verdict) for one in tally.steps))
    chains = compare_raters(group_ratings((one.reviewer, one.item, one.verdict) for one in tally.chains))
    rows = [_tell_agreement("steps", one) for one in steps] + [_tell_agreement("chains", one) for one in chains]
    rows.append(_tell_agreement("steps", compare_judge(tally)))
    words = (
        "1: always the same, 0: as often as by chance; – where too little is marked, or only one verdict was given. "
        "The judge's verdict on a step is that on most of its votes; unsure marks, ties and closing steps are left out "
        "there."
    )
    return Table("Agreement", words, ["of", "measure", "who", "items", "all alike", "coefficient"], rows)


def compare_judge(tally: ReviewTally) -> Agreement:
    """Cohen's kappa of the judge with the reviewers, over their right and wrong marks of scored steps."""
    pairs = [
        (f"{one.reviewer}\n{one.item}", one.verdict, "right" if one.judged else "wrong")
        for one in tally.steps
        if one.judged is not None and one.verdict in (*GOOD, *BAD)
    ]
    ratings = {JUDGE: {item: said for item, _, said in pairs}, PEOPLE: {item: said for item, said, _ in pairs}}
    return measure_cohen(ratings, JUDGE, PEOPLE)


def _tell_agreement(of: str, one: Agreement) -> list[str]:
    value = "–" if one.value is None else f"{one.value:.3f}"
    return [of, one.measure, one.raters, f"{one.items:,}", format_value(one.alike, "share"), value]


def _chart_mentors(tally: ReviewTally) -> Chart:
    rounds = sorted({one.round for one in tally.steps}, key=lambda name: (name == CLOSING, len(name), name))
    mentors = sorted({one.mentor for one in tally.steps})

    def read(mentor: str, number: str) -> Share:
        return count_share(one for one in tally.steps if (one.mentor, one.round) == (mentor, number))

    series = [Series(mentor, tuple(read(mentor, number).value for number in rounds)) for mentor in mentors]
    counts = [float(sum(one.round == number for one in tally.steps)) for number in rounds]
    return Chart(
        "review_mentors", "Steps that reviewers call right",
        "Of the steps of reviewed chains, the share that people marked right, among right and wrong ones. closing: "
        "steps that no intern was scored on.",
        "bars", "round", "share right", tuple(rounds), tuple(series), "share", (Series("marks", tuple(counts)),),
    )  # fmt: skip


def _chart_scores(tally: ReviewTally) -> Chart:
    found = [step.score for step in tally.steps] + [chain.score for chain in tally.chains]
    known = {find_bin(score) for score in found if score is not None}
    bins = [name for name in SCORE_BINS if name in known]
    steps = [_in_bin(tally.steps, name) for name in bins]
    chains = [_in_bin(tally.chains, name) for name in bins]
    scores = [
        [step.score or 0.0 for step in some] + [chain.score or 0.0 for chain in others]
        for some, others in zip(steps, chains, strict=True)
    ]
    return Chart(
        "review_scores", "Is a score of 1 a good chain?",
        "Reviewed steps and chains by their MICS-Score: the share that people marked right, or accepted. Were the "
        "score that share, both lines would lie on the line of the mean MICS-Score.",
        "lines", "MICS-Score", "share", tuple(bins),
        (
            Series("chains accepted", tuple(count_share(some).value for some in chains)),
            Series("steps right", tuple(count_share(some).value for some in steps)),
            Series("mean MICS-Score", tuple(sum(some) / len(some) for some in scores)),
        ),
        "share",
        (
            Series("chains", tuple(float(len(some)) for some in chains)),
            Series("steps", tuple(float(len(some)) for some in steps)),
        ),
    )  # fmt: skip
