"""A provider that fails: the result is that of a calm run, no fault is a wrong answer, little is asked again."""

from pathlib import Path

import pytest

from tests.chaos.conftest import CASES, LATENCY_S, SETTINGS, Calm
from tests.support.faulty_provider import FIELD, TRANSIENT, FaultyProvider
from tests.support.program import rows
from tests.support.whole_run import WholeRun

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize(
    "rates",
    [
        pytest.param(TRANSIENT, marks=pytest.mark.slow),
        FIELD,
        pytest.param({"server_error": 0.3}, marks=pytest.mark.slow),
    ],
)
def test_a_good_part_of_all_calls_fails_and_the_result_is_that_of_a_calm_run(
    tmp_path: Path, joined_run: WholeRun, calm_run: Calm, rates: dict[str, float]
) -> None:
    run = joined_run
    with FaultyProvider(latency_s=LATENCY_S, rates=rates, seed=1) as provider:
        provider.write_groups(tmp_path / "conf", **SETTINGS)
        done = run.to_end()
    assert done.returncode == 0, done.stderr
    assert all(provider.injected[kind] > 0 for kind in rates), provider.injected
    assert run.result() == calm_run.result
    injected = provider.injected.total()
    assert injected > 0.1 * calm_run.calls
    assert len(provider.times) <= calm_run.calls + injected
    assert provider.repaid() == 0


@pytest.mark.slow
def test_what_always_fails_is_an_unknown_vote_and_never_a_wrong_one(tmp_path: Path, joined_run: WholeRun) -> None:
    run = joined_run
    rates = {"refusal": 0.03, "null_content": 0.03}
    with FaultyProvider(latency_s=LATENCY_S, rates=rates, stubborn=True) as provider:
        provider.write_groups(tmp_path / "conf", **SETTINGS)
        done = run.to_end()
    assert done.returncode == 0, done.stderr
    found = rows(run.dir)
    assert [row["case_id"] for row in found] == [f"case-{number:04}" for number in range(CASES)]
    assert max(provider.asked.values()) == 3, "a broken reply is paid three times at most"
    assert provider.injected["refusal"] > 0
    assert provider.injected["null_content"] > 0
    nodes = [node for row in found for node in row["nodes"]]
    votes = [vote for node in nodes for vote in node["votes"]]
    lost = [vote for vote in votes if vote["failure"]]
    assert {vote["failure"].split(":")[0] for vote in lost} == {"refused", "broken_reply"}
    assert {vote["verdict"] for vote in lost} == {"unknown"}
    for node in nodes:
        known = [vote["verdict"] for vote in node["votes"] if not vote["failure"]]
        if node["failure"] is None:
            quorum = 2 * len(known) >= len(node["votes"])
            assert node["score"] == (known.count("right") / len(known) if quorum else None)


@pytest.mark.slow
def test_an_exhausted_quota_ends_the_calls_within_a_second_and_the_run_goes_on_later(
    tmp_path: Path, joined_run: WholeRun, calm_run: Calm
) -> None:
    run = joined_run
    with FaultyProvider(latency_s=LATENCY_S, quota_after=calm_run.calls // 2) as provider:
        provider.write_groups(tmp_path / "conf", **SETTINGS)
        stopped = run.to_end()
        assert stopped.returncode == 75, stopped.stderr
        assert "quota" in stopped.stderr.strip().splitlines()[-1]
        assert provider.first_refusal is not None
        assert provider.injected["quota"] > 0
        assert provider.times[-1] < provider.first_refusal + 5.0
        assert provider.injected["quota"] <= 2 * provider.permits, "what was on its way when the first was refused"
        assert run.summary()["finished"] is False
        assert calm_run.result != run.result()
        provider.quota_after = None
        resumed = run.to_end()
    assert resumed.returncode == 0, resumed.stderr
    assert run.result() == calm_run.result
    assert provider.repaid() == 0
    assert provider.paid.total() == calm_run.calls
