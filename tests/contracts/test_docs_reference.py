"""The commands and queries of docs/reference.md are read by the programs that they are for."""

import re
import shlex
from pathlib import Path
from typing import Any

import duckdb
import pytest

from eval.commands import compose_infer
from eval.config import EvaluateJob
from mics_ray.config.compose import compose_config, compose_job

PAGE = (Path(__file__).parents[2] / "docs/reference.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(block.replace("\\\n", " "))[1:] for block in re.findall(r"```console\n(.*?)```", PAGE, re.S)]
READ: dict[str, Any] = {
    "generate": compose_config,
    "evaluate": lambda words: compose_job("evaluate", EvaluateJob, words),
    "infer": lambda words: compose_infer(words, None),
}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_each_command_is_read(command: list[str]) -> None:
    assert READ[command[0]](command[1:])


def test_what_is_taken_away_and_chosen_is_what_the_page_says() -> None:
    first, second, evaluate, infer = (READ[command[0]](command[1:]) for command in COMMANDS)
    assert set(first.mentors) - set(second.mentors) == {"gpt_4o"}
    assert set(second.interns) == {"qwen25_vl_7b", "internvl3_8b"}
    assert (first.search.max_rounds, first.search.intern_temperatures) == (3, [1.2, 0.2])
    assert evaluate.eval.benchmarks["chiron"].as_written
    assert evaluate.serve.processor_kwargs["max_dynamic_patch"] == 12
    assert (evaluate.eval.temperature, evaluate.prompts.intern, infer.sampling) == (0.0, "{question}", "model")


def test_the_queries_count_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("evals/chiron-o1/results").mkdir(parents=True)
    rows = "('right', 'right', true), ('wrong', 'wrong', true), ('right', 'wrong', false), ('unknown', 'unknown', null)"
    table = f"select * from (values {rows}) as t(lenient, strict, kept_form)"
    duckdb.sql(f"copy ({table}) to 'evals/chiron-o1/results/part-0.parquet'")
    (queries,) = re.findall(r"```sql\n(.*?)```", PAGE, re.S)
    found = [duckdb.sql(query).fetchall()[0][0] for query in queries.strip().rstrip(";").split(";\n")]
    assert found == pytest.approx([1 / 2, 2 / 3])
