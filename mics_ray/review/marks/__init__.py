"""What people say of chains: one reviewer's marks, kept in ``run.dir/reviews/NAME.jsonl``."""
