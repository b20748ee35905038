"""What reviewers' marks come to: shares of right steps, agreement of people, judge and MICS-Score."""
