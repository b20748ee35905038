"""Steps that give away what interns are not to see: the gold answer, a mentor's captions, a final-answer block.

The guard reads words, not meaning: a paraphrase ("enlarged heart" for "Cardiomegaly") or a translation passes, and a
differential that names the gold answer among others does not. ``leaks.judge=true`` asks the judge for the former.
"""

from mics_ray.core.leaks.guard import Leak, LeakGuard

__all__ = ["Leak", "LeakGuard"]
