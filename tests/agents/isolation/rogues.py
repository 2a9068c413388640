"""Agents of every kind of mischief, done once: in the second game of a batch, at its third ply or later."""

import ctypes
import os
import signal
import stat
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from elodrome.agents.agent import Agent, Config, Learner, Position, Progress


class Fair(Agent):
    """Moves at random from the position's own stream."""

    def choose(self, position: Position) -> int:
        return int(position.rng.choice(position.legal_actions))


class FairBatch(Agent):
    """The same, all positions at once."""

    def act(self, positions):
        return [int(p.rng.choice(p.legal_actions)) for p in positions]


class Worldly(Agent):
    """Moves by what the world says of itself."""

    def choose(self, position: Position) -> int:
        world = position.world
        return int(position.legal_actions[len(f"{world.id} {world.summary}") % len(position.legal_actions)])


class Rogue(Fair):
    def choose(self, position: Position) -> int:
        if position.game == 1 and position.ply > 2:
            self.mischief(position)
        return super().choose(position)

    def mischief(self, position: Position) -> None:
        raise NotImplementedError


class Loop(Rogue):
    def mischief(self, position):
        while True:
            pass


class Sleep(Rogue):
    def mischief(self, position):
        time.sleep(1000)


class Lock(Rogue):
    def mischief(self, position):
        ctypes.PyDLL(None).usleep(ctypes.c_uint(10**9))  # C code that keeps the interpreter lock


class Segfault(Rogue):
    def mischief(self, position):
        ctypes.string_at(0)


class Exit(Rogue):
    def mischief(self, position):
        os._exit(3)


class SysExit(Rogue):
    def mischief(self, position):
        sys.exit("enough")


class Eater(Rogue):
    def mischief(self, position):
        np.ones(100 << 30, np.uint8)


class Taker(Rogue):
    """Takes what the machine would give, and the bound does not."""

    def mischief(self, position):
        np.ones(4 << 30, np.uint8)


class Nibbler(Rogue):
    """Eats through children, each within the bound of one process."""

    def mischief(self, position):
        for _ in range(20):
            if not os.fork():
                kept = np.ones(100 << 20, np.uint8)
                time.sleep(1000 + int(kept[0]))
        time.sleep(1000)


class Bomb(Rogue):
    """Fifty children that leave for sessions of their own."""

    def mischief(self, position):
        note(os.getpid())
        for _ in range(50):
            if not os.fork():
                os.setsid()
                note(os.getpid())
                time.sleep(1000)
        time.sleep(1000)


class Twins(Rogue):
    """Is two from then on, and both answer."""

    def mischief(self, position):
        os.fork()


class Crowd(Rogue):
    def mischief(self, position):
        for _ in range(100):
            if not os.fork():
                time.sleep(1000)
        time.sleep(1000)


class Deaf(Rogue):
    """Ignores SIGTERM, and so does its child in a session of its own."""

    def mischief(self, position):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = "import os, signal, time; os.setsid(); signal.signal(15, signal.SIG_IGN); time.sleep(1000)"
        note(subprocess.Popen([sys.executable, "-I", "-S", "-c", child]).pid)
        note(os.getpid())
        time.sleep(1000)


class Flood(Rogue):
    def mischief(self, position):
        line = "x" * 1_000_000
        for _ in range(1000):
            print(line)


class Garbler(Rogue):
    """Writes to every socket that it finds open, and waits."""

    message = b"\xff" * 64

    def mischief(self, position):
        for number in range(3, 64):
            with suppress(OSError):
                if stat.S_ISSOCK(os.fstat(number).st_mode):
                    os.write(number, self.message)
        time.sleep(1000)


class Babbler(Garbler):
    message = struct.pack(">I", 16) + b"\xff" * 16


class Boaster(Garbler):
    """Promises eight terabytes."""

    header = b'{"arrays": [["policy", "float64", [1099511627776]]]}'
    message = struct.pack(">I", len(header)) + header


class Namer(Garbler):
    """Promises what only Python could hold."""

    header = b'{"arrays": [["policy", "object", [1]]]}'
    message = struct.pack(">I", len(header)) + header + bytes(8)


class Saboteur(Rogue):
    def mischief(self, position):
        object.__setattr__(position.world, "max_steps", 1)
        position.observation[:] = 9
        np.random.seed(0)  # noqa: NPY002 (this is the mischief)


class Odd(Rogue):
    def choose(self, position):
        return "e4" if position.game == 1 else super().choose(position)


class Huge(Rogue):
    def choose(self, position):
        return 10**30 if position.game == 1 else super().choose(position)


class Unspeakable(Rogue):
    def mischief(self, position):
        class Silent(Exception):
            def __str__(self):
                raise ValueError("not even that")

        raise Silent


class Hopeless(Agent):
    def choose(self, position):
        os._exit(1)


class Hanging(Agent):
    """Hangs in one position of a batch that it answers at once."""

    def act(self, positions):
        if ((positions.games == 1) & (positions.plies > 2)).any():
            time.sleep(1000)
        return [int(p.rng.choice(p.legal_actions)) for p in positions]


class Stubborn(Fair):
    """Does not load."""

    def __init__(self, world, config=None):
        time.sleep(1000)


class Quitter(Agent):
    def __init__(self, world, config=None):
        sys.exit(0)

    def choose(self, position):
        return 0


class Counter(Agent):
    """Moves by how often it was asked, ever: not repeatable."""

    def __init__(self, world, config=None):
        super().__init__(world, config)
        self.count = 0

    def choose(self, position):
        self.count += 1
        return int(position.legal_actions[self.count % len(position.legal_actions)])


class Rememberer(Agent):
    """Repeats its first move's neighbour as long as it can, by the memory of its game."""

    stateful = True

    def __init__(self, world, config=None):
        super().__init__(world, config)
        self.first: dict[int, int] = {}

    def choose(self, position):
        if position.ply < 2:
            self.first[position.game] = int(position.rng.choice(position.legal_actions))
        wanted = self.first.get(position.game, 0)
        legal = position.legal_actions
        return int(legal[np.abs(legal - wanted).argmin()])

    def forget(self):
        self.first.clear()


class Vanishing(Agent):
    """Ends its process at once."""

    def choose(self, position):
        os._exit(9)


class Asleep(Agent):
    def choose(self, position):
        time.sleep(1000)


class Drowsy(Fair):
    """Falls asleep where nobody asks for a move."""

    def forget(self):
        time.sleep(1000)


class Idle(Learner):
    """Learns for ever without a report."""

    def learn(self, budget):
        time.sleep(1000)
        yield Progress(0)

    @property
    def agent(self):
        return Fair(self.world)

    def weights(self):
        return {}

    @classmethod
    def restore(cls, world, config, weights):
        return Fair(world)

    def snapshot(self):
        return {}

    def resume(self, snapshot):
        pass


class Elephant(Rememberer):
    """Keeps the first that it ever chose in a game of that number, until it is told that all are new."""

    lanes = 2

    def choose(self, position):
        first = int(position.rng.choice(position.legal_actions))
        wanted = self.first.setdefault(position.game, first)
        legal = position.legal_actions
        return int(legal[np.abs(legal - wanted).argmin()])


class NoteConfig(Config):
    strength: int = 1


class Configured(Fair):
    config_class = NoteConfig


def note(pid: int) -> None:
    """Leave a process's number where the test looks."""
    with Path(os.environ["ROGUES"]).open("a") as stream:
        stream.write(f"{pid}\n")
