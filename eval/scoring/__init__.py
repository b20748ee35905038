"""From a model's reply to the answer found in it, and to its verdict by rule where a rule can tell."""
