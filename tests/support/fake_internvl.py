"""A look-alike of a clone of OpenGVLab/InternVL whose trainer learns nothing, and an export for it to read.

The trainer parses the arguments, waits for the other processes, goes on from checkpoints and refuses folders as
upstream's does, and appends what it saw to ``calls.jsonl`` in the checkout. Two files there make it misbehave:
``die`` (JSON ``[rank, step]``: that process kills itself, once) and ``hang`` (wait after the first checkpoint).
"""

import json
from pathlib import Path
from typing import Any

STEPS = 6

_TRAINER = """
import argparse, json, os, shutil, signal, socket, sys, time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Optional

@dataclass
class ModelArguments:
    model_name_or_path: Optional[str] = None
    freeze_llm: bool = False
    freeze_backbone: bool = False
    freeze_mlp: bool = False
    vision_select_layer: int = -1
    use_llm_lora: int = 0
    grad_checkpoint: bool = True
    drop_path_rate: float = 0.0
    ps_version: str = "v2"

@dataclass
class DataTrainingArguments:
    max_seq_length: int = 8192
    force_image_size: int = 448
    down_sample_ratio: float = 0.5
    conv_style: str = "other"
    meta_path: Optional[str] = None
    dynamic_image_size: bool = False
    use_thumbnail: bool = False
    max_dynamic_patch: int = 12

STEPS = 6
RANK = int(os.environ["RANK"])

def state(folder, step):
    folder.mkdir(parents=True, exist_ok=True)
    losses = [{"step": n, "loss": 3.0 / n, "learning_rate": 4e-5 * (1 - n / STEPS)} for n in range(1, step + 1)]
    state = {"log_history": losses + ([{"step": step, "train_loss": 1.0}] if step == STEPS else [])}
    (folder / "trainer_state.json").write_text(json.dumps(state))

def barrier(name):
    # Files, since every import of torch costs seconds; the launchers met through torch's own store before.
    place = Path("met") / os.environ["MASTER_PORT"] / str(name)
    place.mkdir(parents=True, exist_ok=True)
    (place / str(RANK)).touch()
    until = time.monotonic() + 120
    while len(list(place.iterdir())) < int(os.environ["WORLD_SIZE"]):
        if time.monotonic() > until:
            sys.exit("waited in vain for the others")
        time.sleep(0.02)

def main():
    assert os.environ["LAUNCHER"] == "pytorch"
    parser = argparse.ArgumentParser()
    named = sys.argv[1::2]
    for name in named:
        parser.add_argument(name)
    args = parser.parse_args()
    output, base = Path(args.output_dir), Path(args.model_name_or_path)
    if json.loads((base / "config.json").read_text()).get("use_llm_lora"):
        sys.exit("the adapter would be wrapped twice")
    found = sorted(int(path.name[11:]) for path in output.glob("checkpoint-*")) if output.is_dir() else []
    if output.is_dir() and not found and any(output.iterdir()):
        sys.exit("Output directory already exists and is not empty")
    start = found[-1] if found else 0
    socket.create_connection((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])), 10).close()
    barrier("start")
    seen = {"rank": RANK, "start": start, "argv": sys.argv[1:]}
    seen |= {"cwd": os.getcwd(), "env": dict(os.environ)}
    with open("calls.jsonl", "a") as file:
        file.write(json.dumps(seen) + "\\n")
    die = Path("die")
    doomed, when = json.loads(die.read_text()) if die.exists() else (None, None)
    print("training begins", flush=True)
    for step in range(start + 1, STEPS + 1):
        barrier(step)
        if RANK == 0 and step % int(args.save_steps) == 0:
            state(output / f"checkpoint-{step}", step)
        if RANK == doomed and step == when:
            die.unlink()
            print("out of luck", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if Path("hang").exists() and step > 2:
            Path(f"hung-{RANK}").write_text(str(os.getpid()))
            time.sleep(600)
    barrier("end")
    if RANK == 0:
        weights = json.loads((base / "weights.json").read_text())
        (output / "weights.json").write_text(json.dumps(weights + [Path(args.meta_path).stem]))
        config = json.loads((base / "config.json").read_text()) | {"use_llm_lora": int(args.use_llm_lora)}
        (output / "config.json").write_text(json.dumps(config))
        for name in [*base.glob("*.safetensors"), *base.glob("tokenizer*.json")]:
            shutil.copy(name, output)
        state(output, STEPS)

main()
"""

_MERGE = """
import json, os, shutil, sys
from pathlib import Path

source, target = map(Path, sys.argv[1:])
target.mkdir()
config = json.loads((source / "config.json").read_text())
assert config.pop("use_llm_lora") == 16
(target / "config.json").write_text(json.dumps(config))
(target / "weights.json").write_text(json.dumps(json.loads((source / "weights.json").read_text()) + ["merged"]))
for name in [*source.glob("*.safetensors"), *source.glob("tokenizer*.json")]:
    shutil.copy(name, target)
print("Done!")
"""


def make_checkout(folder: Path) -> Path:
    """The checkout; returns its root. The packages that only GPUs need are empty modules beside the trainer."""
    chat = folder / "internvl_chat"
    for name, text in {
        "internvl/train/internvl_chat_finetune.py": _TRAINER,
        "tools/merge_lora.py": _MERGE,
        "zero_stage1_config.json": "{}",
        "deepspeed.py": "",
        "flash_attn.py": "",
    }.items():
        path = chat / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def make_model(folder: Path, **config: Any) -> Path:
    """Weights in InternVL's original form that nobody can run; ``config`` overrides fields of ``config.json``."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"architectures": ["InternVLChatModel"], **config}))
    (folder / "weights.json").write_text(json.dumps(["base"]))
    (folder / "modeling_internvl_chat.py").write_text("# the model's own classes")
    return folder


def make_export(folder: Path, stages: tuple[str, ...] = ("alignment", "chains"), **entry: Any) -> Path:
    """An export of text-only records, one data set a stage; ``entry`` overrides fields of every meta entry."""
    (folder / "meta").mkdir(parents=True)
    record = {"id": "a", "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}
    listed = []
    for name in stages:
        annotation = folder / f"{name}.jsonl"
        annotation.write_text(json.dumps(record) + "\n")
        fields = {"root": str(folder), "annotation": str(annotation), "data_augment": False, "repeat_time": 2}
        meta = {name: {**fields, "length": 1, "max_dynamic_patch": 6, **entry}}
        (folder / f"meta/{name}.json").write_text(json.dumps(meta))
        listed.append({"name": name, "meta": f"meta/{name}.json", "samples": 2})
    (folder / "report.json").write_text(json.dumps({"stages": listed}))
    return folder


def calls(checkout: Path) -> list[dict[str, Any]]:
    """What every trainer process so far saw, in the order in which they wrote it."""
    path = checkout / "internvl_chat/calls.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def argument(call: dict[str, Any], name: str) -> str:
    """The value of one argument of a trainer process."""
    return str(call["argv"][call["argv"].index(f"--{name}") + 1])
