"""How the tiny interns were trained: texts, batches, models, the training itself, and what was measured."""
