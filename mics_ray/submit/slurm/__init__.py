"""SLURM: the batch file, what its nodes run, and who submits it."""
