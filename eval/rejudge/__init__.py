"""Another judge over the answers of a finished search: agreement, flipped verdicts, steps chosen otherwise."""
