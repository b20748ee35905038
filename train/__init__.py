"""What fine-tuning makes of searched chains: exports in the trainers' formats, and the trainers' launch."""
