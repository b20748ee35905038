"""Other programs that make the same calls; each file runs by itself, in whatever environment has its library."""
