"""The whole program against a simulated provider: rows, resume, refusals."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mics_ray.io.row_schema import SCHEMA
from tests.support.program import generate, generate_cpu_s, rows
from tests.support.provider import Provider, record, write_cases

pytestmark = pytest.mark.cluster


def arguments(folder: Path, *more: str) -> list[str]:
    return [
        "--config-dir", str(folder / "conf"), "mentors=test", "interns=test", "judge=test",
        f"data.cases={folder}/cases.jsonl", f"run.dir={folder}/run", "window=32", *more,
    ]  # fmt: skip


def test_a_run_its_rows_and_the_same_command_again(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", 30)
    with Provider() as provider:
        provider.write_groups(tmp_path / "conf")
        done = generate(*arguments(tmp_path))
        assert done.returncode == 0, done.stderr
        found = rows(tmp_path / "run")
        calls = provider.calls()
        assert [row["case_id"] for row in found] == [f"case-{number:04}" for number in range(30)]
        assert {row["outcome"] for row in found} <= {"solved", "depth", "dead_end"}
        assert set(found[0]) == set(SCHEMA.names)
        for row in found:
            check_row(row)
        summary = json.loads((tmp_path / "run/summary.json").read_text())
        paid = Counter[str]()
        for name, used in summary["usage"].items():
            paid[name.split("_")[0]] += used["calls"] - used["cached_calls"]
        assert paid == calls
        assert summary["finished"] is True

        again = generate(*arguments(tmp_path))
        assert again.returncode == 0, again.stderr
        assert provider.calls() == calls
        assert rows(tmp_path / "run") == found

        changed = generate(*arguments(tmp_path, "seed=7", "search.max_rounds=2"))
        assert changed.returncode == 78
        assert "search.max_rounds: 4 -> 2" in changed.stderr
        assert "seed: 0 -> 7" in changed.stderr
        assert provider.calls() == calls


def check_row(row: dict[str, Any]) -> None:
    """What must hold within every searched row."""
    nodes = {node["id"]: node for node in row["nodes"]}
    assert len(nodes) == len(row["nodes"])
    last = [node for node in row["nodes"] if node["attempt"] == row["attempts"]]
    first_round = [node for node in last if node["round"] == 1]
    assert len(first_round) == 3
    for node in row["nodes"]:
        if node["failure"] is None:
            assert len(node["votes"]) == 6
            right = sum(vote["verdict"] == "right" for vote in node["votes"])
            assert node["score"] == right / 6
    chosen = [node for node in last if node["chosen"]]
    assert row["mentors"] == [node["mentor"] for node in chosen]
    if row["outcome"] in ("solved", "depth"):
        assert row["steps"][: len(chosen)] == [node["step"] for node in chosen]
        assert row["reasoning"].count("### Step ") == len(row["steps"])
        assert row["final_answer"] == "right"
        assert re.search(r"### The final answer is: right$", row["reasoning"])
    else:
        assert row["reasoning"] == ""


def test_unusable_records_become_rows_and_no_call_is_made_for_them(tmp_path: Path) -> None:
    lines = [
        record("good"),
        "{broken",
        record("good"),
        record("", ()),
        record("gone", ("missing.png",)),
        record("outside", ("../secret.png",)),
        record("text", ("text.png",)),
    ]
    (tmp_path / "cases.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "text.png").write_text("no picture")
    with Provider() as provider:
        provider.write_groups(tmp_path / "conf")
        strict = generate(*arguments(tmp_path, "data.strict=true"))
        assert strict.returncode == 78
        assert "line 2" in strict.stderr
        assert not provider.log
        done = generate(*arguments(tmp_path))
        assert done.returncode == 0, done.stderr
        assert "4 records unusable; the first: cases.jsonl, line 2: broken JSON" in done.stderr
        prompts = " ".join(call["prompt"] for call in provider.log)
    found = {row["case_id"]: row for row in rows(tmp_path / "run")}
    assert set(found) == {"good", "line-2", "line-3", "line-4", "gone", "outside", "text"}
    assert [name for name, row in found.items() if row["outcome"] == "rejected"] == sorted(set(found) - {"good"})
    for name in ("gone", "outside", "text"):
        assert f"What does {name} show?" not in prompts
    assert found["gone"]["reason"] == "cases.jsonl, line 5: picture 'missing.png': no such file"
    assert str(found["text"]["reason"]).startswith("cases.jsonl, line 7: picture 'text.png'")
    assert "cases.jsonl, line 2" in str(found["line-2"]["reason"])


@pytest.mark.parametrize(
    ("key", "models", "words"),
    [("right-key", None, "401 invalid_api_key"), (None, frozenset({"judge-0", "mentor-0", "mentor-1"}), "mentor-2")],
)
def test_a_wrong_key_or_an_unknown_model_is_refused_before_interns_load(
    tmp_path: Path, key: str | None, models: frozenset[str] | None, words: str
) -> None:
    write_cases(tmp_path / "cases.jsonl", 3)
    provider = Provider(key=key) if models is None else Provider(key=key, models=models)
    with provider:
        provider.write_groups(tmp_path / "conf", interns=False, key_env="TEST_PROVIDER_KEY")
        canary = "canary-3f9a-not-the-key"
        given = (*arguments(tmp_path)[:3], "interns=tiny", *arguments(tmp_path)[4:])
        done, cpu_s = generate_cpu_s(*given, TEST_PROVIDER_KEY=canary)
        assert done.returncode == 78
        assert cpu_s < 10
        assert words in done.stderr
        assert "loading" not in done.stderr
        assert canary not in done.stdout + done.stderr
        assert all(call["probe"] for call in provider.log)
        if key is not None:
            assert len(provider.log) == 1


def test_preflight_estimates_and_spends_one_word_per_model(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", 10)
    with (tmp_path / "cases.jsonl").open("a") as file:
        file.write(record("gone", ("missing.png",)) + "\n")
    with Provider() as provider:
        provider.write_groups(tmp_path / "conf")
        done = generate(*arguments(tmp_path, "preflight=true"))
        assert done.returncode == 0, done.stderr
        assert Counter(call["model"] for call in provider.log) == dict.fromkeys(provider.models, 1)
        assert not provider.calls()
    assert "11 records, 10 to search" in done.stdout
    assert "will be rejected: gone: cases.jsonl, line 11: picture 'missing.png'" in done.stdout
    # Ten cases of one round: 3 mentor, 18 intern and 18 judge calls each.
    assert re.search(r"least: 1 │\s+390 ", done.stdout)
    assert rows(tmp_path / "run") == []
