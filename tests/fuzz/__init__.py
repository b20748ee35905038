"""Fuzzing: what each parser promises of any input, and seeded generators of inputs that are nearly valid."""
