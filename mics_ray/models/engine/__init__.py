"""Models that we serve ourselves: vLLM, its settings, checkpoints and adapters checked before they are loaded."""
