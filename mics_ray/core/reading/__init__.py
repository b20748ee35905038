"""What a reply says: steps, answers, verdicts, thoughts, read alike for every role. Pure."""
