"""What a model knows: benchmarks, answers through the intern actors, scores, reports."""
