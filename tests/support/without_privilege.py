"""Root as any other user: without the capabilities by which it may read and write whatever it likes (capabilities(7))."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Answer = TypeVar("Answer")

VERSION_3 = 0x20080522
DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def as_anybody(call: Callable[[], Answer]) -> Answer:
    """What a call returns in a thread that may do only what the permissions of files say; what root starts has its rights again."""
    with ThreadPoolExecutor(1) as threads:  # capabilities are a thread's own, and gone for good once they are given up
        return threads.submit(_given_up, call).result()


def _given_up(call: Callable[[], Answer]) -> Answer:
    if not os.geteuid():
        libc = ctypes.CDLL(None, use_errno=True)
        header, sets = _Header(VERSION_3, 0), (_Sets * 2)()
        if libc.capget(ctypes.byref(header), sets):
            raise OSError(ctypes.get_errno(), "capget")
        for name in ("effective", "permitted"):
            setattr(sets[0], name, getattr(sets[0], name) & ~(1 << DAC_OVERRIDE | 1 << DAC_READ_SEARCH))
        if libc.capset(ctypes.byref(header), sets):
            raise OSError(ctypes.get_errno(), "capset")
    return call()
