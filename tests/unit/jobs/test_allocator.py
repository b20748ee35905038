"""What was freed between blocks that are in use goes back to the system."""

import ctypes

from mics_ray.jobs.allocator import give_back_freed

LIBC = ctypes.CDLL(None)
LIBC.malloc.restype = ctypes.c_void_p
LIBC.malloc.argtypes = [ctypes.c_size_t]
LIBC.free.argtypes = [ctypes.c_void_p]
BLOCK = 64_000  # below the size from which each block is mapped by itself
BLOCKS = 1000


def read_resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_pages_between_blocks_in_use_are_given_back() -> None:
    blocks = [LIBC.malloc(BLOCK) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    for block in blocks[::2]:
        LIBC.free(block)
    before = read_resident()
    give_back_freed()
    assert before - read_resident() > BLOCK * BLOCKS // 4
    for block in blocks[1::2]:
        LIBC.free(block)
