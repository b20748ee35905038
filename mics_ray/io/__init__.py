"""Cases in, rows and shards out."""
