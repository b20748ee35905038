"""The embedded default: phantom cases, tiny interns, a simulated mentor-and-judge server."""
