"""Committed rows: Parquet shards, each of which is there whole or not at all. They alone say what is done."""
