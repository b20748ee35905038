"""Programs that need a run and its replay: from a command line to an exit code. The other rooms have theirs inside."""
