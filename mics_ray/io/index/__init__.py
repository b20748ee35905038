"""What a start need not read again: caches beside a run's shards and its input, each checked before it is believed."""
