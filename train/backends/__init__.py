"""One folder per way to train; `base` says what a backend is."""
