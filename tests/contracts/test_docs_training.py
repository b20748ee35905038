"""The table of the trainer's arguments in docs/training.md says what the recipes give."""

import re
import sys
from pathlib import Path

from mics_ray.config.compose import compose_job
from tests.support.fake_internvl import make_export
from train.backends.internvl.commands import trainer_arguments
from train.config import TrainJob
from train.stages import read_stages

PAGE = Path(__file__).parents[2] / "docs/training.md"
ROW = re.compile(r"^\| `--(\w+)`[^|]*\|([^|]*)\|([^|]*)\|", re.M)
CODE = re.compile(r"`([^`]*)`")
REFERENCE = """
model_name_or_path conv_style use_fast_tokenizer output_dir meta_path overwrite_output_dir force_image_size
max_dynamic_patch down_sample_ratio drop_path_rate freeze_llm freeze_mlp freeze_backbone use_llm_lora
vision_select_layer dataloader_num_workers bf16 num_train_epochs per_device_train_batch_size
gradient_accumulation_steps evaluation_strategy save_strategy save_steps save_total_limit learning_rate weight_decay
warmup_ratio lr_scheduler_type logging_steps max_seq_length do_train grad_checkpoint group_by_length
dynamic_image_size use_thumbnail ps_version deepspeed report_to
"""
"""What the reference's two files hand to the trainer."""
PLACES = {"meta_path", "output_dir"}


def test_each_argument_of_the_reference_stands_beside_ours(tmp_path: Path) -> None:
    make_export(tmp_path / "export", ("chains",))
    given = []
    for recipe in ("internvl3_2b", "internvl3_8b"):
        words = [f"train={recipe}", f"train.dir={tmp_path}/out", f"export.dir={tmp_path}/export"]
        job = compose_job("train", TrainJob, [*words, f"train.upstream.python={sys.executable}"])
        given.append(trainer_arguments(job, read_stages(job.export.dir), 0))
    rows = {name: ours for name, _, ours in ROW.findall(PAGE.read_text(encoding="utf-8"))}
    assert set(REFERENCE.split()) <= set(rows)
    assert {name for name, ours in rows.items() if name not in given[0] and "left out" not in ours} == {
        "nproc_per_node", "nnodes", "master_port"
    }  # fmt: skip
    for name in given[0].keys() - PLACES:
        told = CODE.findall(rows[name])[:2]
        wanted = [str(one[name]) for one in given]
        assert (told if len(told) == 2 else told * 2) == wanted, name
