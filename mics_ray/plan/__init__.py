"""Planning on paper: which intern goes where, what binds, how long a job takes and what it costs."""
