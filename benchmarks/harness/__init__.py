"""What every benchmark stands on: a provider, the processes of a run, figures, and the files that they end in."""
