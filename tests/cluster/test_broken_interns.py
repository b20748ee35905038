"""An intern that cannot serve ends a run with one line that names it, its node and the cause, and nothing is paid."""

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mics_ray.local
from mics_ray.local.phantoms import write_cases as write_phantoms
from tests.support.program import ROOT, generate
from tests.support.provider import Provider, record, write_cases

pytestmark = pytest.mark.cluster

INTERNS = Path(mics_ray.local.__file__).parent / "interns"
LIMITS = {"max_model_len": 2048, "max_tokens": 32}


def arguments(folder: Path, provider: Provider, interns: dict[str, dict[str, Any]], *more: str) -> list[str]:
    """A run of six cases with mentors and a judge of ``provider`` and these ``interns`` on vLLM."""
    write_cases(folder / "cases.jsonl", 6)
    provider.write_groups(folder / "conf", interns=False)
    (folder / "conf/interns").mkdir()
    entries = {name: LIMITS | entry for name, entry in interns.items()}
    (folder / "conf/interns/test.yaml").write_text(json.dumps(entries))
    return [
        "--config-dir", str(folder / "conf"), "mentors=test", "interns=test", "judge=test", "window=4",
        f"data.cases={folder}/cases.jsonl", f"run.dir={folder}/run", "ray.workers=1", *more,
    ]  # fmt: skip


def copy_intern(folder: Path, name: str = "internvl", without: str = "") -> Path:
    """A copy of a tiny intern that a test may spoil."""
    copy = Path(shutil.copytree(INTERNS / name, folder / f"{name}-without-{Path(without).stem}"))
    if without:
        (copy / without).unlink()
    return copy


def make_text_model(folder: Path) -> Path:
    """A tiny language model of a type whose files nobody looks at for a chat template, without one."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    shape = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "max_position_embeddings": 16384}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 1520}
    Qwen2ForCausalLM(Qwen2Config(**shape, **heads)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(INTERNS / "internvl" / name, folder)
    return folder


def last_line(stderr: str) -> str:
    return stderr.strip().splitlines()[-1]


def test_preflight_names_what_the_nodes_lack(tmp_path: Path) -> None:
    bare = copy_intern(tmp_path, "qwen25vl", without="chat_template.jinja")
    interns = {
        "whole": {"model": "embedded:interns/internvl"},
        "gone": {"model": f"{tmp_path}/nowhere/model"},
        "bare": {"model": str(bare)},
        "odd": {"model": "embedded:interns/internvl", "processor_kwargs": {"max_pixels": 9}},
    }
    with Provider() as provider:
        done = generate(*arguments(tmp_path, provider, interns, "preflight=true"))
    assert done.returncode == 78, done.stderr
    said, node = last_line(done.stderr), socket.gethostname()
    assert said.startswith("refused: ")
    assert f"gone on {node}: {tmp_path}/nowhere/model: no such folder" in said
    assert f"bare on {node}: {bare}: no chat template (chat_template.jinja)" in said
    assert f"odd on {node}: " in said
    assert "processor_kwargs.max_pixels: not of the processor of internvl" in said
    assert "whole on" not in said


@pytest.mark.slow
def test_a_run_is_refused_before_a_mentor_is_asked(tmp_path: Path) -> None:
    interns = {
        "whole": {"model": "embedded:interns/internvl"},
        "bare": {"model": str(copy_intern(tmp_path, without="chat_template.jinja"))},
    }
    with Provider() as provider:
        done = generate(*arguments(tmp_path, provider, interns))
        assert done.returncode == 78, done.stderr
        assert not provider.calls()
    assert f"bare on {socket.gethostname()}: {tmp_path}" in last_line(done.stderr)
    assert "no chat template" in last_line(done.stderr)
    assert f"see {tmp_path}/run/logs" in last_line(done.stderr)


@pytest.mark.slow
def test_an_engine_that_cannot_take_the_largest_cases_is_no_part_of_a_run(tmp_path: Path) -> None:
    interns = {
        "whole": {"model": "embedded:interns/qwen25vl", "max_model_len": 16384},
        "short": {"model": "embedded:interns/internvl", "max_model_len": 1024},
        "blind": {
            "model": "embedded:interns/internvl",
            "max_model_len": 16384,
            "engine_kwargs": {"limit_mm_per_prompt": {"image": 1}},
        },
        "mute": {"model": str(make_text_model(tmp_path / "text")), "sees_pictures": False},
    }
    with Provider() as provider:
        given = arguments(tmp_path, provider, interns, f"data.image_root={INTERNS.parent}/cases/images")
        cases = [record(f"case-{number:04}") for number in range(4)]
        cases += [record("wide", tuple(f"phantom-00{number}.png" for number in (1, 2, 3))), record("long " * 3000)]
        (tmp_path / "cases.jsonl").write_text("\n".join(cases) + "\n")
        done = generate(*given)
        assert done.returncode == 78, done.stderr
        assert not provider.calls()
    said, node = last_line(done.stderr), socket.gethostname()
    assert said.startswith("refused: ")
    assert re.search(rf"short on {node}: max_model_len 1,024 is below the \d,\d+ tokens of the prompt \(case", said)
    limit = "3 picture(s), the engine takes 1 (engine_kwargs.limit_mm_per_prompt) (case wide, 3 pictures)"
    assert f"blind on {node}: {limit}" in said
    assert f"mute on {node}: the model has no chat template (chat_template.jinja)" in said
    assert "whole on" not in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            {"max_model_len": 16384, "engine_kwargs": {"kv_cache_memory_bytes": 2**20}},
            "the KV cache is too small for max_model_len 16,384: 0.02 GiB needed, 0.0 there; max_model_len 640 fits",
        ),
        ({"tensor_parallel": 3}, "tensor_parallel 3 does not divide the 4 attention heads"),
        ({"max_model_len": 99999}, "max_model_len 99,999 is above what the model takes (16,384)"),
    ],
)
def test_an_engine_that_does_not_start_says_why(tmp_path: Path, entry: dict[str, Any], words: str) -> None:
    interns = {"broken": {"model": "embedded:interns/internvl", **entry}}
    with Provider() as provider:
        done = generate(*arguments(tmp_path, provider, interns))
        assert done.returncode == 78, done.stderr
        assert not provider.calls()
    said = f"refused: broken on {socket.gethostname()}: {words}; see {tmp_path}/run/logs"
    assert last_line(done.stderr) == said
    output = (tmp_path / "run/logs/engine-broken-0.log").read_text()
    assert "arg_utils.py" in output, "what vLLM wrote itself"


@pytest.mark.slow
def test_an_evaluation_is_refused_whose_engine_cannot_take_its_items(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "sets/phantom", 4, seed=77)
    given = ["eval=phantom", "serve=tiny", "judge=local", "model=embedded:interns/internvl"]
    given += [
        f"eval.root={tmp_path}/sets",
        f"eval.dir={tmp_path}/out",
        "serve.engine_kwargs.limit_mm_per_prompt.image=0",
    ]
    program = [sys.executable, str(ROOT / "scripts/evaluate.py"), *given]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 78, done.stderr
    said = f"refused: model on {socket.gethostname()}: 1 picture(s), the engine takes 0"
    assert last_line(done.stderr).startswith(said), last_line(done.stderr)
    assert "(case phantom/phantom-" in last_line(done.stderr)
