"""PathVQA (flaviagiammarino/path-vqa): pathology pictures, in the form of VQA-RAD. Test: 6,719 items, 3,362 yes/no."""

from eval.benchmarks.vqa_rad import read_vqa_rad

__all__ = ["read_vqa_rad"]
