"""What a gateway's process asks of its machine."""

from __future__ import annotations

import ctypes
import resource

LARGE_BYTES = 1024 * 1024
"""Bodies up to this come and go all the time."""
KEPT_BYTES = 32 * 1024 * 1024
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def take_descriptors() -> None:
    """As many as we may have: a client takes two, and some container runtimes give 1,024 to who does not ask."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def keep_memory() -> None:
    """Use a body's memory for the next one.

    glibc asks the kernel anew for each piece of 128 KiB and gives it back at once: a third of what a prompt of 225 KB
    cost went there. Other C libraries have no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
