"""How tokens are drawn, on real vLLM: parameters of a request, and the model's own generation_config."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mics_ray.local

ROOT = Path(__file__).parents[2]
INTERN = Path(mics_ray.local.__file__).parent / "interns/internvl"


@pytest.mark.slow
@pytest.mark.cluster
def test_tokens_are_drawn_as_asked_and_as_the_models_file_says(tmp_path: Path) -> None:
    folder = tmp_path / "intern"
    shutil.copytree(INTERN, folder)
    own = json.loads((folder / "generation_config.json").read_text())
    # As Qwen2.5-VL's file: nearly greedy whatever the temperature.
    own |= {"do_sample": True, "top_k": 1, "top_p": 0.001, "temperature": 0.1}
    (folder / "generation_config.json").write_text(json.dumps(own))
    command = [
        sys.executable,
        str(Path(__file__).with_name("sample_tokens.py")),
        str(folder),
        str(tmp_path / "out.json"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    texts = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    (greedy,) = texts["greedy"]
    for way in ("model", "top_k", "top_p"):
        assert set(texts[way]) == {greedy}, way
    assert len(set(texts["plain"])) > 3
