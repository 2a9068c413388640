"""Commands in processes of their own that kill themselves on the way, started without loading everything anew.

Run as a program: loads what trainings need, then forks a process for each line of JSON on standard input and answers
with the line of its end. ``argv``: the command's words; ``log``: where its output goes; ``reports`` and ``events``: it
kills itself (SIGKILL, so that nothing is tidied up) in the midst of the call or return number ``events`` after report
number ``reports``. Where a run is killed is thus the same every time, amid updates as well as amid files being written.
"""

import json
import os
import signal
import sys
from typing import Any

import torch
from tensorboard.compat.proto import event_pb2, summary_pb2  # noqa: F401
from tensorboard.summary.writer import event_file_writer  # noqa: F401

from elodrome import cli
from elodrome.agents.specs import builtin
from elodrome.arena import training


def kill_at(reports: int, events: int) -> None:
    """Let this process die so many events after so many reports of its training."""
    real, left = training.train, [reports, events]

    def count(*_: Any) -> None:
        left[1] -= 1
        if left[1] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def train(*args: Any, on_progress: Any, **options: Any) -> Any:
        def seen(progress: Any, total: int) -> None:
            on_progress(progress, total)
            left[0] -= 1
            if left[0] == 0:
                sys.setprofile(count)

        return real(*args, on_progress=seen, **options)

    training.train = train


def run(order: dict[str, Any]) -> None:
    """The command, in this process, to its end."""
    with open(order["log"], "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    if order["events"]:
        kill_at(order["reports"], order["events"])
    sys.argv = ["elodrome", *order["argv"]]
    cli.main()


def main() -> None:
    torch.set_num_threads(1)
    for kind in builtin().values():
        kind.load()
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                run(json.loads(line))
            except SystemExit as done:
                os._exit(int(done.code or 0))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
