"""The process between us and a program that we do not trust: it bounds the program, and ends it whatever happens to us.

A script of its own on the standard library alone (``process.py`` starts it): LIFE MEMORY PROGRAM ARGUMENT ... LIFE is
the read end of a pipe whose other end we hold: when it ends, because we closed it or were killed, the program ends and
so does everything that it started, in whatever session. MEMORY in MiB bounds what one process may allocate, and what
all of them hold together; 0 means no bound. The supervisor ends as the program ended: by the same code or signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys
import time

PROCESSES = 64  # that may be there at once
BEAT = 0.1  # seconds between two looks at memory and processes
PATIENCE = 0.5  # seconds between asking the program to end and making it
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_PAGE = resource.getpagesize()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def descendants(pid: int) -> list[int]:
    """All processes below ``pid``; orphans among them count, where the subreaper has taken them in."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children") as stream:
                    waiting += (children := [int(word) for word in stream.read().split()])
                    found += children
    return found


def _resident(pid: int) -> int:
    """Bytes of memory that a process holds, those of libraries left out."""
    try:
        with open(f"/proc/{pid}/statm") as stream:
            _, resident, shared, *_ = (int(word) for word in stream.read().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * _PAGE


def _share(pid: int) -> int:
    """The same, what it shares with its kin counted once among them; slower to find out."""
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/smaps_rollup") as stream:
        return sum(int(line.split()[1]) << 10 for line in stream if line.startswith("Pss_Anon:"))
    return 0


def _reap(program: int) -> int | None:
    """Collect whoever has died; the status of the program if it is among them."""
    status = None
    with contextlib.suppress(ChildProcessError):
        while (dead := os.waitpid(-1, os.WNOHANG))[0]:
            if dead[0] == program:
                status = dead[1]
    return status


def _end_all(program: int, gently: bool) -> None:
    """End the program, asking first where ``gently``, and all that it started."""
    if gently:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program, signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        while descendants(os.getpid()) and time.monotonic() < until:
            _reap(program)
            time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program, signal.SIGKILL)
    while rest := descendants(os.getpid()):
        for pid in rest:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap(program)
        time.sleep(0.001)


def _excess(memory: int) -> str:
    """What is too much of, in words; empty while nothing is."""
    alive = descendants(os.getpid())
    if len(alive) > PROCESSES:
        return f"started more than {PROCESSES} processes"
    bound = memory << 20
    if memory and sum(map(_resident, alive)) > bound and sum(map(_share, alive)) > bound:
        return f"used more than {memory} MiB of memory"
    return ""


def _become(words: list[str], memory: int) -> None:
    """In the child: the program, in a session of its own."""
    os.setsid()
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory << 20, memory << 20))
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(words[0], words)
    except OSError as error:
        print(f"cannot be started: {error.strerror}", file=sys.stderr, flush=True)
    finally:
        os._exit(127)


def main() -> None:
    """Start the program and stay beside it."""
    life, memory, words = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    os.set_inheritable(life, False)
    _prctl(_SET_CHILD_SUBREAPER, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    program = os.fork()
    if not program:
        _become(words, memory)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda *_: os.kill(program, signal.SIGUSR1))  # to say where it hangs
    complaints = os.dup(2)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # the program's pipes end when it does, not when we do
        os.dup2(nowhere, stream)
    for stream in range(3, max(life, nowhere, wake, complaints) + 1):
        if stream not in (life, woken, wake, complaints):
            with contextlib.suppress(OSError):
                os.close(stream)
    status = None
    while status is None:
        ready, _, _ = select.select([life, woken], [], [], BEAT)
        if woken in ready:
            os.read(woken, 4096)
        status = _reap(program)
        if status is not None:
            break
        if life in ready:
            _end_all(program, gently=True)
            os._exit(0)
        if excess := _excess(memory):
            os.set_blocking(complaints, False)
            with contextlib.suppress(OSError):
                os.write(complaints, f"\n{excess}\n".encode())
            _end_all(program, gently=False)
            status = int(signal.SIGKILL)
    _end_all(program, gently=False)
    if os.WIFSIGNALED(status):
        deadly = os.WTERMSIG(status)
        if deadly != signal.SIGKILL:
            signal.signal(deadly, signal.SIG_DFL)
        os.kill(os.getpid(), deadly)
    os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    main()
