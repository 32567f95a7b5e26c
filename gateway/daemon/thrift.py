"""Keeps the daemon small: one heap for all threads, and what loading the configuration used goes back."""

import ctypes
import gc

M_ARENA_MAX = -8  # mallopt(3)


def one_heap() -> None:
    """Let all threads share one heap; glibc would give each its own, and our threads hardly allocate at once."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none
        mallopt(M_ARENA_MAX, 1)


def give_back() -> None:
    """Collect what starting left behind, hand it to the kernel, and never look at the survivors again."""
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
