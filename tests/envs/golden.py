"""Golden playthroughs: one seeded random game of every world, written for people to read.

python tests/envs/golden.py --write     writes tests/golden/<world>.txt anew (look at the difference before committing)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from elodrome import make_env
from elodrome.envs.game import World
from elodrome.envs.registry import BUILTIN
from elodrome.seeding import generator, streams

FOLDER = Path(__file__).resolve().parents[1] / "golden"
SEED = 7
SHOWN = 40  # plies of a long game


def names() -> list[str]:
    """The worlds that need a golden game: all of ours."""
    return sorted(BUILTIN)


def playthrough(world: World) -> str:
    """The text of one random game."""
    low, high = world.return_range
    lines = [
        f"world: {world.id}",
        f"players: {world.players}   actions: {world.actions}   observation: {list(world.observation_shape)}",
        f"kind: {world.kind}   information: {world.information}   simultaneous: {world.simultaneous}   "
        f"zero_sum: {world.zero_sum}",
        f"return_range: {low:g} to {high:g}   max_steps: {world.max_steps}   discount: {world.discount:g}",
        "actions: " + " ".join(world.action_name(a) for a in range(world.actions)),
        "seats: " + ", ".join(world.seat_name(p) for p in range(world.players)),
    ]
    table, row = world.table(1), np.array([0])
    table.reset(row, streams(SEED, 1))
    rng = generator(SEED, "golden", world.id)
    returns = np.zeros(world.players)
    for ply in range(world.max_steps):
        seat = int(table.seats[0])
        if seat < 0 or ply == SHOWN:
            break
        legal = np.flatnonzero(table.legal(row)[0])
        lines += ["", f"ply {ply}", table.draw(0), f"to act: {world.seat_name(seat)}"]
        lines.append("legal: " + " ".join(world.action_name(a) for a in legal.tolist()))
        lines += [f"seat {p} sees: {_summary(table.observe(row, np.array([p]))[0])}" for p in range(world.players)]
        action = int(rng.choice(legal))
        rewards = table.step(row, np.array([action]))[0]
        returns += rewards
        lines += [f"action: {world.action_name(action)}", "rewards: " + " ".join(f"{r:g}" for r in rewards)]
    ended = (
        "over" if table.seats[0] < 0 and not table.truncated[0] else "truncated" if table.truncated[0] else "cut here"
    )
    lines += ["", f"{ended} after {int(table.plies[0])} plies", table.draw(0)]
    lines.append("returns: " + " ".join(f"{r:g}" for r in returns))
    return "\n".join(lines) + "\n"


def _summary(observation: np.ndarray) -> str:
    """The entries that are not 0, as place=value; only the place where the value is 1."""
    entries = [
        ",".join(map(str, place)) + ("" if observation[place] == 1 else f"={observation[place]:g}")
        for place in map(tuple, np.argwhere(observation).tolist())
    ]
    return " ".join(entries) or "zeros"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the files anew")
    write = parser.parse_args().write
    FOLDER.mkdir(exist_ok=True)
    for name in names():
        text, file = playthrough(make_env(name)), FOLDER / f"{name}.txt"
        same = file.is_file() and file.read_text() == text
        if write and not same:
            file.write_text(text)
        print(f"{name}: {'same' if same else 'written' if write else 'differs'}")


if __name__ == "__main__":
    main()
