"""From committed rows to training data: selection, the formats, the report."""
