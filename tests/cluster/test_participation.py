"""A run in which a model takes no part never ends with 0, and pays for no more; failed rows can be searched again."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from aiohttp import web

from benchmarks.harness.provider import prompt_text
from tests.support.program import generate, rows
from tests.support.provider import Provider, write_cases

pytestmark = pytest.mark.cluster


@dataclass
class RefusingProvider(Provider):
    """Refuses with 400 what ``refuses`` (a regular expression over ``model prompt``) finds, probes never."""

    refuses: str = field(default="(?!)")

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        prompt = prompt_text(body)
        if "## " in prompt and re.search(self.refuses, f"{body['model']} {prompt}"):
            self.log.append({"model": body["model"], "prompt": prompt, "probe": False, "body": body})
            return web.json_response({"error": {"message": "no", "code": "odd_case"}}, status=400)
        return await super()._chat(request)


def arguments(folder: Path, *more: str) -> list[str]:
    return [
        "--config-dir", str(folder / "conf"), "mentors=test", "interns=test", "judge=test", "window=4",
        f"data.cases={folder}/cases.jsonl", f"run.dir={folder}/run", "ray.workers=1", *more,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "entry"),
    [
        pytest.param("mentor-1", "mentor_1", marks=pytest.mark.slow),
        pytest.param("intern-2", "intern_2", marks=pytest.mark.slow),
        ("judge-0", "judge"),
    ],
)
def test_a_model_that_loses_all_of_its_first_calls_ends_the_run(tmp_path: Path, model: str, entry: str) -> None:
    write_cases(tmp_path / "cases.jsonl", 60)
    with RefusingProvider(refuses=f"^{model} ") as provider:
        provider.write_groups(tmp_path / "conf")
        done = generate(*arguments(tmp_path))
        assert done.returncode == 75, done.stderr
        said = done.stderr.strip().splitlines()[-1]
        assert f"{entry} (model {model}, {provider.url}): silent: all of its first 20 calls were lost" in said
        asked = sum(call["model"] == model and not call["probe"] for call in provider.log)
        # Those that were under way when the twentieth was lost: four cases, at most 18 calls of a model each.
        assert 20 <= asked <= 20 + 4 * 18
    part = json.loads((tmp_path / "run/summary.json").read_text())["participation"][entry]
    assert part["answered"] == 0
    assert part["lost_by_reason"] == {"bad_request": part["lost"]}
    assert f"{entry} lost {part['lost']} bad_request" in done.stdout
    assert part["lost"] >= 20


@pytest.mark.slow
def test_failed_cases_are_searched_again_and_their_rows_replaced(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", 8)
    with RefusingProvider(refuses=r"(?s)^judge-0 .*case-000[37]\b") as provider:
        provider.write_groups(tmp_path / "conf")
        first = generate(*arguments(tmp_path))
        assert first.returncode == 0, first.stderr
        before = {row["case_id"]: row for row in rows(tmp_path / "run")}
        failed = {case for case, row in before.items() if row["outcome"] == "failed"}
        assert failed, "the judge refused all answers of some cases"
        assert len(failed) < 8

        provider.refuses = "(?!)"
        again = generate(*arguments(tmp_path))
        assert again.returncode == 0
        assert {row["case_id"]: row for row in rows(tmp_path / "run")} == before, "failed rows are final by themselves"

        retried = generate(*arguments(tmp_path, "retry_failed=true"))
        assert retried.returncode == 0, retried.stderr
        assert f"{len(failed)} to do" in retried.stderr
    found = rows(tmp_path / "run")
    assert [row["case_id"] for row in found] == sorted(before), "exactly one row a case"
    for row in found:
        if row["case_id"] in failed:
            assert row["outcome"] != "failed"
        else:
            assert row == before[row["case_id"]]
    kept = [one for path in (tmp_path / "run/superseded").iterdir() for one in pq.read_table(path).to_pylist()]
    assert {one["case_id"] for one in kept} == failed


@pytest.mark.slow
def test_a_run_whose_cases_all_failed_says_so_at_every_start(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", 1)
    with RefusingProvider(refuses="^mentor-") as provider:
        provider.write_groups(tmp_path / "conf")
        for _ in range(2):
            done = generate(*arguments(tmp_path))
            assert done.returncode == 75, done.stderr
            assert "all 1 cases that were searched failed" in done.stderr.split("ended with exit code")[-1]
        provider.refuses = "(?!)"
        assert generate(*arguments(tmp_path, "retry_failed=true")).returncode == 0
    assert [row["outcome"] for row in rows(tmp_path / "run")] != ["failed"]
