"""What every job has: folder, lock, identity, rows in flight, a committer, resume, stop and exit code. Needs no ray."""
