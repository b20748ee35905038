"""PathVQA (flaviagiammarino/path-vqa, or its pickles as JSON): pathology pictures, in the forms of VQA-RAD.

Test: 6,719 items, 3,362 of them yes/no.
"""

from eval.benchmarks.vqa_rad import read_vqa_rad

__all__ = ["read_vqa_rad"]
