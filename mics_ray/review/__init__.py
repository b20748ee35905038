"""What people look at: a run's report, its search trees in the browser and on the terminal."""
