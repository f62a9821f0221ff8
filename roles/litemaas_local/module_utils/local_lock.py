"""One run at a time, also after a run was killed."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def locked(path: str) -> Iterator[int]:
    """Waits for the lock on that file, however long it takes, and holds it.

    Gives the lock's descriptor: a program that gets it by `pass_fds` holds the lock too, so that it is free only once that has ended.
    """
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()
