"""Our side of a program that we do not trust: started under its supervisor, asked how it ended, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from elodrome.agents.isolation.supervisor import PATIENCE

_SUPERVISOR = str(Path(__file__).with_name("supervisor.py"))


class Program:
    """A running program with pipes to it. ``memory`` in MiB bounds what it may hold, 0 for no bound; ``channels`` are
    file descriptors that it inherits; with ``merged`` its complaints come through ``output``.

    It ends with everything that it started when it is closed, and when this process ends, however that ends.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        memory: int = 0,
        channels: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        merged: bool = False,
    ) -> None:
        reads, self._life = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", _SUPERVISOR, str(reads), str(memory), *words],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                pass_fds=(reads, *channels),
                env=environment,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._life)
            raise
        finally:
            os.close(reads)

    @property
    def pid(self) -> int:
        """The number of its supervisor."""
        return self._process.pid

    @property
    def input(self) -> IO[bytes]:
        return _there(self._process.stdin)

    @property
    def output(self) -> IO[bytes]:
        return _there(self._process.stdout)

    @property
    def complaints(self) -> IO[bytes]:
        return _there(self._process.stderr)

    def ending(self, patience: float = 0.0) -> str:
        """How it ended, in words, after at most ``patience`` seconds; empty while it runs."""
        until = time.monotonic() + patience
        while True:
            # It is not reaped, so that its number stays taken.
            ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                if ended.si_code == os.CLD_EXITED:
                    return f"exited with code {ended.si_status}"
                return f"was killed by {signal.Signals(ended.si_status).name}"
            if time.monotonic() >= until:
                return ""
            time.sleep(0.01)

    def tell_where(self) -> None:
        """Have a program that listens to SIGUSR1 say what it is doing."""
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGUSR1)

    def close(self, patience: float) -> None:
        """End it and all its children: by the end of its input, after ``patience`` seconds by SIGTERM, by SIGKILL."""
        if self._process.returncode is not None:
            return
        self.input.close()
        self.ending(patience)
        os.close(self._life)
        try:
            self._process.wait(PATIENCE + 5.0)
        except subprocess.TimeoutExpired:  # stopped by whoever had the right to
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()


def _there(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("this pipe was not asked for")
    return pipe
