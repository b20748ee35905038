"""One file a benchmark; each has ``measure_figures``."""
