"""Both embedded interns on real vLLM, and the same answers as from transformers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mics_ray.local
from mics_ray.local.findings import FINDINGS

ROOT = Path(__file__).parents[2]
INTERNS = Path(mics_ray.local.__file__).parent / "interns"
ENGINE = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
ANSWERS = {f"### The final answer is: {finding.answer}" for finding in FINDINGS}


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize("form", ["internvl", "qwen25vl"])
def test_vllm_answers_as_transformers_does(form: str, tmp_path: Path) -> None:
    program, prompts = Path(__file__).with_name("serve_intern.py"), ROOT / "conf" / "prompts" / "default.yaml"
    command = [sys.executable, str(program), str(INTERNS / form), str(prompts), str(tmp_path / "both.json")]
    environment = {**os.environ, **ENGINE, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    both = json.loads((tmp_path / "both.json").read_text(encoding="utf-8"))
    assert len(both["vllm"]) >= 40
    for served, expected in zip(both["vllm"], both["transformers"], strict=True):
        assert served == expected
    assert sum(served["text"] in ANSWERS for served in both["vllm"]) >= 0.95 * len(both["vllm"])
    assert {served["text"] for served in both["vllm"]} >= ANSWERS
