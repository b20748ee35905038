"""Submitting a program of this project to a cluster, generated from the program's own configuration."""
