"""Starts, from the process in front, what tells a study's listener how its run ended; nothing heavy is imported."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from trials.machine.provenance import CODE

KEY = b"on_end"
LONGEST_STUDY_BYTES = 1 << 20
"""A study's file is shorter."""
LONGEST_NEWS_SECONDS = 25.0
"""What tells has limits of its own; past all of them it is left alone."""


class EndNews:
    """The news of one run's end, told once."""

    def __init__(self, study: str, directory: str | None, say: Callable[[str], None]) -> None:
        """The study's file and the directory that `run` was given; `say` tells the person."""
        self._study, self._directory, self._say = str(study), str(directory or ""), say
        self._begun, self._front = time.time(), os.getpid()
        self._process: subprocess.Popen[str] | None = None
        self._is_wanted = False
        with suppress(OSError, ValueError):  # the verb itself says what is wrong with the file
            if Path(self._study).is_file():
                with open(self._study, "rb") as file:
                    self._is_wanted = KEY in file.read(LONGEST_STUDY_BYTES)

    def begin(self, code: int) -> int | None:
        """Begin to tell that the run ends with this code, if anybody listens; returns the process that does."""
        if self._is_wanted and self._process is None:
            begin = f"import sys; sys.path.insert(0, {str(CODE)!r}); from trials.progress.tell_end import main; main()"
            command = [sys.executable, "-P", "-c", begin, self._study, self._directory, repr(self._begun), str(code)]
            with suppress(OSError):
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,  # whoever ends this process and its children has not seen that one yet
                )
        return None if self._process is None else self._process.pid

    def finish(self, code: int) -> None:
        """Have it told, and say in one line where the listener did not take it; nothing in the process that works, which comes back too."""
        if os.getpid() != self._front:
            return
        self.begin(code)
        if self._process is None:
            return
        try:
            said = self._process.communicate(timeout=LONGEST_NEWS_SECONDS)[1].strip()
        except subprocess.TimeoutExpired:
            said = "it does not answer"
        if said:
            self._say(f"archfront: on_end was not told: {said.splitlines()[-1]}; the study is not affected")
