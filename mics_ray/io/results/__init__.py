"""Committed rows as a whole: an account of them, failed ones, rows of an earlier schema, a check against the input."""
