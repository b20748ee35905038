"""A run again from its record: without a network, a GPU, a key or Ray."""
