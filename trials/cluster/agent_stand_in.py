"""A program that does nothing until the raylet which started it has ended: it stands in for the raylet's agents (`few_processes`)."""

import os
import time
from contextlib import suppress

PARENT_LOOK_SECONDS = 1.0
RAYLETS_NAME = "raylet\n"


def has_raylet() -> bool:
    """Whether this process's parent is a raylet; one that ended before this program began is nobody's parent."""
    with suppress(OSError), open(f"/proc/{os.getppid()}/comm", encoding="utf-8") as file:
        return file.read() == RAYLETS_NAME
    return False


if __name__ == "__main__":
    while has_raylet():
        time.sleep(PARENT_LOOK_SECONDS)
