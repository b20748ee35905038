"""Whole runs against what today's providers do, held against the calm run: same rows, bounded calls, true bill."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from PIL import Image

from tests.support.dressed_provider import FORMS
from tests.support.faulty_provider import FIELD
from tests.support.field_provider import FILTERS, FIREWALLS, REFUSALS, FieldProvider
from tests.support.program import rows
from tests.support.provider import record
from tests.support.ray_nodes import RayNodes, ray_nodes
from tests.support.whole_run import WholeRun, drop_replies

pytestmark = pytest.mark.cluster

CASES = 6
KEY = "sk-field-81d2c07b44"
PRICE = (2.5, 10.0)
SETTINGS: dict[str, Any] = {
    "deadline_s": 20, "max_in_flight": 16, "max_tokens": 256, "key_env": "FIELD_KEY",
    "price": {"input_per_mtok": PRICE[0], "output_per_mtok": PRICE[1]},
}  # fmt: skip
MODELS = [*(f"mentor_{i}" for i in range(3)), *(f"intern_{i}" for i in range(3)), "judge"]
ODD = "case-0002"
"""The case whose prompts are refused."""
UNCHARGED = {"told_429": 0.1, "told_502": 0.1, "minute_quota": 0.02, "gemini_limit": 0.05, "reset_header": 0.05}
"""Faults that cost nothing, and shapes that cost what they say: of these the bill is known to the cent."""
SHAPED = {"parts": 0.15}


@dataclass(frozen=True)
class Calm:
    """Canonical result, calls and bill of the run that nothing disturbed."""

    result: list[list[Any]]
    calls: int
    spent_usd: float


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    """One Ray for all runs of this file; its workers' environment holds the key."""
    with ray_nodes(FIELD_KEY=KEY) as nodes:
        nodes.start_head()
        yield nodes


def make_run(folder: Path, nodes: RayNodes) -> WholeRun:
    return WholeRun(folder, CASES, extra=(f"ray.address={nodes.address}",), environment=nodes.environment)


@pytest.fixture
def run(tmp_path: Path, nodes: RayNodes) -> WholeRun:
    return make_run(tmp_path, nodes)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, nodes: RayNodes) -> Calm:
    run = make_run(tmp_path_factory.mktemp("calm"), nodes)
    with FieldProvider(price=PRICE) as provider:
        done = search(run, provider)
    assert done.returncode == 0, done.stderr
    assert run.summary()["spent_usd"] == pytest.approx(provider.bill_usd)
    return Calm(run.result(), len(provider.times), provider.bill_usd)


def search(run: WholeRun, provider: FieldProvider, *more: str, **settings: Any) -> CompletedProcess[str]:
    """A whole run; whatever it ends with, it tells no key and no word of a case."""
    provider.write_groups(run.folder / "conf", **(SETTINGS | settings))
    done = run.to_end(*more)
    logs = "".join(path.read_text(errors="replace") for path in run.dir.rglob("*.log"))
    for secret in (KEY, "What does case-"):
        assert secret not in done.stdout + done.stderr + logs
    assert set(provider.keys) <= {f"Bearer {KEY}"}
    return done


def is_calm(run: WholeRun, calm: Calm, but: str = "") -> bool:
    """Whether all rows are those of the calm run; ``but``: a case left out."""
    here, there = ([row for row in drop_replies(found) if row[0] != but] for found in (run.result(), calm.result))
    return bool(here == there)


def say(done: CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


def test_what_costs_a_second_attempt_or_comes_in_other_clothes_changes_no_row_and_no_bill(
    run: WholeRun, calm: Calm
) -> None:
    with FieldProvider(price=PRICE, rates=UNCHARGED | SHAPED, seed=3, form="think") as provider:
        done = search(run, provider)
    assert done.returncode == 0, done.stderr
    assert all(provider.injected[kind] > 0 for kind in (UNCHARGED | SHAPED)), provider.injected
    assert is_calm(run, calm)
    faults = sum(provider.injected[kind] for kind in UNCHARGED)
    assert len(provider.times) == calm.calls + faults
    summary = run.summary()
    assert summary["spent_usd"] == pytest.approx(calm.spent_usd) == pytest.approx(provider.bill_usd)
    assert sum(used["cost_usd"] for used in summary["usage"].values()) <= summary["spent_usd"] + 1e-9
    assert sorted(summary["usage"]) == sorted(summary["participation"]) == sorted(MODELS)
    assert all(name in done.stdout for name in MODELS), done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in FIELD if kind not in UNCHARGED and kind not in SHAPED])
def test_each_fault_alone(run: WholeRun, calm: Calm, kind: str) -> None:
    with FieldProvider(price=PRICE, rates={kind: 0.1}, seed=3) as provider:
        done = search(run, provider)
    assert done.returncode == 0, done.stderr
    assert provider.injected[kind] > 0
    assert is_calm(run, calm)
    assert len(provider.times) <= calm.calls + provider.injected[kind]
    # What may have been charged is taken to have been: as much as the attempt was allowed to cost.
    if kind != "odd_fields":  # tells fewer tokens than a calm reply
        assert run.summary()["spent_usd"] >= 0.99 * calm.spent_usd


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_other_clothes(run: WholeRun, calm: Calm, form: str) -> None:
    with FieldProvider(form=form) as provider:
        done = search(run, provider)
    assert done.returncode == 0, done.stderr
    assert is_calm(run, calm)
    assert len(provider.times) == calm.calls


@pytest.mark.slow
@pytest.mark.parametrize("most_room", [None, 256])
def test_replies_that_are_cut_once(run: WholeRun, most_room: int | None) -> None:
    """Asked again with more room, or with what the model takes; nothing comes of the cut text."""
    cut = {"mentor": "once", "judge": "once"}
    with FieldProvider(cut=cut, most_room=most_room) as provider:
        done = search(run, provider)
    assert done.returncode == 0, done.stderr
    assert provider.cuts > 0
    assert (provider.refused > 0) == (most_room is not None)
    votes = [vote for row in rows(run.dir) for node in row["nodes"] for vote in node["votes"]]
    assert votes
    for vote in votes:
        assert (vote["verdict"] == "right") <= vote["answer"].startswith("right"), vote
        assert vote["answer"] != "draft"


@pytest.mark.slow
def test_a_judge_that_is_always_cut_gives_no_verdict(run: WholeRun) -> None:
    with FieldProvider(cut={"judge": "always"}) as provider:
        done = search(run, provider)
        assert done.returncode == 75, done.stderr
        assert f"judge (model judge-0, {provider.url})" in say(done)
        assert "cut: hit max_tokens" in say(done)
    votes = [vote for row in rows(run.dir) for node in row["nodes"] for vote in node["votes"]]
    assert {vote["verdict"] for vote in votes} <= {"unknown"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*FILTERS, *FIREWALLS])
def test_one_case_is_refused_and_searched_again_later(run: WholeRun, calm: Calm, kind: str) -> None:
    """By a filter or a firewall: one attempt a call, the other cases as in the calm run; later it is searched again."""
    refuse = (FILTERS | FIREWALLS)[kind]
    with FieldProvider(refuse=refuse, whom=rf"^mentor-\d (?s:.*){ODD}") as provider:
        done = search(run, provider, "window=1")
        assert done.returncode == 0, done.stderr
        assert is_calm(run, calm, but=ODD)
        assert set(provider.turned_away.values()) == {1}
        failed = [row for row in rows(run.dir) if row["outcome"] == "failed"]
        assert [row["case_id"] for row in failed] == [ODD]
        assert ("blocked" if kind in FIREWALLS else "refused") in str(failed[0])

        provider.whom = "(?!)"
        again = search(run, provider, "window=1", "retry_failed=true")
        assert again.returncode == 0, again.stderr
    assert is_calm(run, calm)


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSALS)
def test_what_refuses_every_call_of_a_model_is_refused_before_anything_is_loaded(run: WholeRun, kind: str) -> None:
    refuse, advice = REFUSALS[kind]
    with FieldProvider(refuse=refuse, whom="^(mentor-1|judge-0) ") as provider:
        done = search(run, provider)
        assert done.returncode == 78, done.stderr
        said = say(done)
        for name, model in (("mentor_1", "mentor-1"), ("judge", "judge-0")):
            if (kind, name) not in (("not_paid", "mentor_1"), ("told_not_paid", "mentor_1")):
                assert f"{name}: " in said
                assert f"(model {model}, {provider.url}" in said
        assert advice in said
    assert not provider.times, "nothing but probes"
    assert not (run.dir / "results").exists() or not rows(run.dir)


@pytest.mark.slow
def test_a_model_without_eyes_is_named_beforehand_and_takes_part_by_text(run: WholeRun) -> None:
    """Where the entry says so, it gets the text alone, of cases with pictures too; all others see them."""
    Image.linear_gradient("L").resize((64, 48)).save(run.folder / "film.png")
    (run.folder / "cases.jsonl").write_text("\n".join(record(f"case-{i}", ("film.png",)) for i in range(CASES)) + "\n")
    blind = {"mentor_1": "mentors", "intern_2": "interns"}
    with FieldProvider(blind=("mentor-1", "intern-2")) as provider:
        done = search(run, provider)
        assert done.returncode == 78, done.stderr
        for name in blind:
            assert re.search(rf"{name}: .{{1,300}}add to the entry: sees_pictures: false", say(done)), say(done)
        assert not provider.times
        provider.pictures.clear()

        told = [f"{role}.{name}.sees_pictures=false" for name, role in blind.items()]
        done = search(run, provider, *told)
        assert done.returncode == 0, done.stderr
        assert set(provider.pictures) == {"mentor-0", "mentor-2", "intern-0", "intern-1"}
    summary = run.summary()
    assert all(summary["participation"][name]["answered"] > 0 for name in MODELS), summary["participation"]


@pytest.mark.slow
def test_a_balance_that_is_used_up_in_the_run_stops_it_and_it_goes_on_later(run: WholeRun, calm: Calm) -> None:
    with FieldProvider(refuse=REFUSALS["told_not_paid"][0], whom=rf"^judge-0 (?s:.*){ODD}") as provider:
        done = search(run, provider, "window=1")
        assert done.returncode == 75, done.stderr
        assert f"judge (model judge-0, {provider.url})" in say(done)
        assert provider.turned_away.total() <= provider.permits
        provider.whom = "(?!)"
        assert search(run, provider, "window=1").returncode == 0
    assert is_calm(run, calm)
    assert provider.repaid() == 0
