"""The charts of one run, from its tally. Each is left out where there is nothing to show."""

from collections.abc import Sequence
from dataclasses import replace

from mics_ray.core.types import Outcome, Quality, Verdict
from mics_ray.review.data.chart import Chart, Series, count_series
from mics_ray.review.data.tally import SCORE_BINS, RunTally

OF_VOTES = ("score_by_round", "scores", "mentor_rises", "intern_rates", "verdicts")
"""Charts that count votes or scores."""


def list_charts(tally: RunTally) -> list[Chart]:
    """All charts that rows alone give, in the order in which they are shown."""
    found = [
        _chart_score_by_round(tally),
        _chart_scores(tally),
        _chart_shares(tally),
        _chart_rises(tally),
        _chart_interns(tally),
        _chart_verdicts(tally),
        _chart_unknowns(tally),
        _chart_tokens(tally),
        _chart_money(tally),
        _chart_quality(tally),
        _chart_leaks(tally),
        _chart_leaking_mentors(tally),
    ]
    return [_say_left_out(chart, tally) for chart in found if chart.places and chart.series]


def _say_left_out(chart: Chart, tally: RunTally) -> Chart:
    """The chart with what is not in it, where votes were left out: scores and shares of the rest are no fair sample."""
    if not tally.partial or chart.name not in OF_VOTES:
        return chart
    told = (
        f" Of {tally.partial} candidates not all votes were asked for (search.adaptive), because they could not be "
        "chosen any more: they have no score, and the votes that were asked for are no fair sample."
    )
    return replace(chart, about=chart.about + told)


def _chart_score_by_round(tally: RunTally) -> Chart:
    rounds = sorted({number for number, _ in tally.score_by_round})
    means = {key: mean for key, mean in tally.score_by_round.items() if mean.count}

    def read(chosen: bool) -> tuple[float | None, ...]:
        return tuple(means[number, chosen].value if (number, chosen) in means else None for number in rounds)

    def count(chosen: bool) -> tuple[float | None, ...]:
        return tuple(float(means[number, chosen].count) if (number, chosen) in means else 0.0 for number in rounds)

    return Chart(
        "score_by_round", "MICS-Score by round",
        "The mean MICS-Score (right votes / known votes) of all candidates of a round, and of the chosen ones. "
        "Later rounds hold only the cases that were not solved before.",
        "lines", "round", "mean MICS-Score", tuple(map(str, rounds)),
        (Series("chosen candidates", read(True)), Series("all candidates", read(False))), "number",
        (Series("chosen, count", count(True)), Series("all, count", count(False))),
    )  # fmt: skip


def _chart_scores(tally: RunTally) -> Chart:
    series = [
        count_series(label, {name: tally.scores[name, chosen] for name in SCORE_BINS}, SCORE_BINS)
        for label, chosen in (("chosen", True), ("not chosen", False))
    ]
    return Chart(
        "scores", "Distribution of the MICS-Score",
        "Scored candidates by their MICS-Score. 0: no known vote was right; 1: every known vote was.",
        "stacks", "MICS-Score", "candidates", SCORE_BINS if tally.scores else (), tuple(series),
    )  # fmt: skip


def _chart_shares(tally: RunTally) -> Chart:
    mentors, rounds = _mentors(tally), sorted({number for _, number in tally.chosen})
    totals = {number: sum(tally.chosen[mentor, number] for mentor in mentors) for number in rounds}
    series = [Series(name, tuple(tally.chosen[name, number] / totals[number] for number in rounds)) for name in mentors]
    return Chart(
        "mentor_shares", "Each mentor's share of the chosen steps by round",
        "Of the steps that a round added to kept chains, the share that each mentor wrote.",
        "bars", "round", "share of chosen steps", tuple(map(str, rounds)), tuple(series), "share",
        (count_series("chosen steps", totals, rounds),),
    )  # fmt: skip


def _chart_rises(tally: RunTally) -> Chart:
    mentors, rounds = _mentors(tally), sorted({number for _, number in tally.rises})
    series = [Series(name, tuple(_mean(tally, name, number) for number in rounds)) for name in mentors]
    counts = {
        number: sum(tally.rises[name, number].count for name in mentors if (name, number) in tally.rises)
        for number in rounds
    }
    return Chart(
        "mentor_rises", "Each mentor's rise of the score by round",
        "The mean change of the MICS-Score by a mentor's step: its candidate's score less that of the candidate that "
        "it goes on from. The first round has none.",
        "bars", "round", "mean change of the MICS-Score", tuple(map(str, rounds)), tuple(series), "signed",
        (count_series("scored candidates", counts, rounds),),
    )  # fmt: skip


def _mean(tally: RunTally, mentor: str, number: int) -> float | None:
    return tally.rises[mentor, number].value if (mentor, number) in tally.rises else None


def _mentors(tally: RunTally) -> list[str]:
    named = {*tally.candidates, *(name for name, _ in tally.mentor_failures), *(name for name, _ in tally.chosen)}
    return sorted(named)


def _chart_interns(tally: RunTally) -> Chart:
    rounds = sorted({number for _, _, number, _ in tally.votes})
    voters = sorted({(intern, temperature) for intern, temperature, _, _ in tally.votes})
    series, known = [], dict.fromkeys(rounds, 0)
    for intern, temperature in voters:
        shares: list[float | None] = []
        for number in rounds:
            right, wrong = (
                tally.votes[intern, temperature, number, one.value] for one in (Verdict.RIGHT, Verdict.WRONG)
            )
            known[number] += right + wrong
            shares.append(right / (right + wrong) if right + wrong else None)
        series.append(Series(f"{intern}, temperature {temperature:g}", tuple(shares)))
    return Chart(
        "intern_rates", "Interns: right answers by temperature and round",
        "Right votes / known votes of each intern at each temperature, over all candidates of a round.",
        "lines", "round", "right / known votes", tuple(map(str, rounds)), tuple(series), "share",
        (count_series("known votes", known, rounds),),
    )  # fmt: skip


def _chart_verdicts(tally: RunTally) -> Chart:
    counts = tally.count_verdicts()
    places = tuple(counts) if sum(counts.values()) else ()
    return Chart(
        "verdicts", "The judge's verdicts",
        "Votes by verdict. An intern's text without an answer is wrong without asking the judge; a vote whose call was "
        "lost is unknown and counts as neither.",
        "bars", "verdict", "votes", places, (count_series("votes", counts, places),),
    )  # fmt: skip


def _chart_unknowns(tally: RunTally) -> Chart:
    kinds: dict[str, int] = {}
    for (verdict, kind), count in tally.vote_failures.items():
        kinds[f"vote {verdict}: {kind}"] = count
    for (_, kind), count in tally.mentor_failures.items():
        kinds[f"no candidate: {kind}"] = kinds.get(f"no candidate: {kind}", 0) + count
    places = tuple(sorted(kinds, key=lambda name: (-kinds[name], name)))
    return Chart(
        "unknowns", "Votes and candidates without an answer, by reason",
        "Why votes are unknown, or wrong without an answer, and why a mentor gave no candidate. no_step: it had "
        "nothing to add before its final answer.",
        "bars", "reason", "count", places, (count_series("count", kinds, places),),
    )  # fmt: skip


def _chart_tokens(tally: RunTally) -> Chart:
    models = tuple(sorted(tally.usage)) if tally.kept else ()
    kinds = (("prompt tokens", "prompt_tokens"), ("completion tokens", "completion_tokens"))
    series = tuple(
        Series(label, tuple(getattr(tally.usage[model], kind) / tally.kept for model in models))
        for label, kind in kinds
    )
    return Chart(
        "tokens", "Tokens for each kept chain, by model",
        "All tokens of the run's rows, of cases without a chain too, divided by the kept chains.",
        "stacks", "model", "tokens / kept chain", models, series,
    )  # fmt: skip


def _chart_money(tally: RunTally) -> Chart:
    paid = {name: used for name, used in tally.usage.items() if used.cost_usd}
    models = tuple(sorted(paid)) if tally.kept else ()
    return Chart(
        "money", "Money for each kept chain, by model",
        "US dollars of the run's rows, of cases without a chain too, divided by the kept chains, by the configured "
        "prices.",
        "bars", "model", "US dollars / kept chain", models,
        (Series("US dollars", tuple(paid[model].cost_usd / tally.kept for model in models)),), "usd",
    )  # fmt: skip


def _chart_quality(tally: RunTally) -> Chart:
    by_reason: dict[str, int] = {}
    for (outcome, _, reason), count in tally.reasons.items():
        by_reason[f"{outcome}: {reason}"] = by_reason.get(f"{outcome}: {reason}", 0) + count
    order = [outcome.value for outcome in Outcome]
    places = tuple(sorted(by_reason, key=lambda one: (order.index(one.partition(":")[0]), -by_reason[one], one)))
    series: Sequence[Series] = [
        Series(quality.value, tuple(_count_quality(tally, place, quality.value) for place in places))
        for quality in Quality
    ]
    return Chart(
        "quality", "Quality and its reasons",
        "Cases by outcome and its reason, and by the course of their best scores: keep (risen, or solved), flat "
        "(never above the first round), zero (no right vote), rise_fall (risen and "
        "fallen again). Only keep is meant for training.",
        "stacks", "outcome and reason", "cases", places, tuple(one for one in series if any(one.values)),
    )  # fmt: skip


def _count_quality(tally: RunTally, place: str, quality: str) -> float:
    found = (count for (o, q, r), count in tally.reasons.items() if f"{o}: {r}" == place and q == quality)
    return float(sum(found))


def _chart_leaks(tally: RunTally) -> Chart:
    places = tuple(sorted(tally.leaks, key=lambda kind: (-tally.leaks[kind], kind)))
    return Chart(
        "leaks", "Leak flags of kept chains",
        "Kept chains with a step that gives the answer away, by kind: answer, caption and final_answer are found in "
        "the words, judge is the leak judge's word (leaks.judge=true). Exports leave such chains out.",
        "bars", "kind", "kept chains", places, (count_series("kept chains", tally.leaks, places),),
    )  # fmt: skip


def _chart_leaking_mentors(tally: RunTally) -> Chart:
    places = tuple(_mentors(tally)) if any(tally.flagged_candidates.values()) else ()
    shares = tuple(
        tally.flagged_candidates[name] / tally.candidates[name] if tally.candidates[name] else None for name in places
    )
    return Chart(
        "leaking_mentors", "Leaking candidates by mentor",
        "The share of a mentor's candidates whose words give the answer away, chosen or not.",
        "bars", "mentor", "share of candidates", places, (Series("flagged", shares),), "share",
        (count_series("candidates", tally.candidates, places),),
    )  # fmt: skip
