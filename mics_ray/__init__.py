"""MICS on Ray: Mentor-Intern Collaborative Search as a distributed job."""

__version__ = "0.3.0"
