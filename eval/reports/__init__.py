"""What evaluations say: statistics of rows, the report of one, the comparison of two."""
