"""The GNU allocator, told what this process needs. Where there is another one, nothing is done."""

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

_M_TRIM_THRESHOLD = -1  # of mallopt(3)
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGE_BYTES = 1024 * 1024
_KEPT_BYTES = 8 * 1024 * 1024


def setup() -> None:
    """Makes the memory of many threads and of models that come and go no larger than it must be.

    By default it has an arena for each thread, and each keeps what its largest photo took: here
    they share one. And large blocks it keeps, once the first was freed, in the arena: a model's
    then stay in the process when the model goes. Here they are the system's own.
    """
    with _libc() as libc:
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)  # else each photo's memory is fetched anew


def trim() -> None:
    """Gives what is free back to the system, as after a load."""
    with _libc() as libc:
        libc.malloc_trim(0)


@contextlib.contextmanager
def _libc() -> Iterator[Any]:
    with contextlib.suppress(OSError, AttributeError):  # another allocator
        yield ctypes.CDLL(None)
