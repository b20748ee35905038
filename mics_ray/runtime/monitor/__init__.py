"""What a person or a dashboard sees of a run: progress, logs, metrics, the closing view, the watching of a folder."""
