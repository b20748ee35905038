"""Where Ray puts a session's files, its sockets among them, whose paths the kernel bounds. Pure."""

import os

LONGEST_SOCKET = 107
"""Bytes of a path of a Unix socket on Linux."""
SESSION = "/session_2026-11-29_09-43-23_123456_4194304/sockets/plasma_store"
"""The longest path beneath the folder that Ray is given: a time, a process number of seven digits, a socket."""


def find_length_problem(folder: str) -> str:
    """What is wrong with ``folder`` as the place of Ray's sessions, in words; empty where sockets fit beneath it."""
    most = LONGEST_SOCKET - len(SESSION)
    has = len(os.fsencode(folder))
    return f"{folder} has {has} bytes, {most} is the most that leaves room for Ray's sockets" if has > most else ""
