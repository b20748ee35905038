"""Planning on paper: which model goes where, what binds, how long a job takes and what it costs."""
