"""A LoRA adapter on the tiny InternVL intern: vLLM says what transformers with peft says, whole and streamed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mics_ray.local

ROOT = Path(__file__).parents[2]
MODEL = Path(mics_ray.local.__file__).parent / "interns" / "internvl"


@pytest.mark.cluster
@pytest.mark.slow
def test_vllm_serves_an_adapter_as_transformers_does_and_streams_the_same(tmp_path: Path) -> None:
    program = Path(__file__).with_name("serve_adapter.py")
    command = [sys.executable, str(program), str(MODEL), str(tmp_path / "adapter"), str(tmp_path / "found.json")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    served, expected = found["vllm"], found["transformers"]
    assert served["whole"] == expected["tuned"]
    changed = sum(tuned != base for tuned, base in zip(expected["tuned"], expected["base"], strict=True))
    assert changed >= len(expected["base"]) / 2, "an adapter that changes nothing shows nothing"
    assert ["".join(parts) for parts in served["streamed"]] == served["whole"]
    assert max(len(parts) for parts in served["streamed"]) > 2, "text comes in parts"
