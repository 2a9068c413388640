"""What each part of AlphaGo is worth: its ablations against the whole, at equal simulations (notes 4.5.2).

    python benchmarks/alphago.py [--env connect_four] [--steps 500000] [--games 400] [--simulations 100]

One agent is trained; then the whole of it plays versions of itself that lack a part: the value network (lambda = 1),
the playouts (lambda = 0), the policy network (all priors alike), the search. Games in pairs with the colours swapped on
the same random opening; a repeated game counts once in the interval. p_rho against p_sigma: what REINFORCE added.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table as Sheet

from elodrome import make_env, play_match
from elodrome.arena.training import train
from elodrome.envs.registry import parse_options

OPENING = 4
WITHOUT = {
    "that without the value network": "mix=1.0",
    "that without playouts": "mix=0.0",
    "that without a policy network": "prior=none",
    "that with p_rho as prior": "prior=policy",
    "p_sigma without search": "simulations=0",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="connect_four")
    parser.add_argument("--steps", type=int, default=500_000)
    parser.add_argument("--games", type=int, default=400)
    parser.add_argument("--simulations", type=int, default=100)
    parser.add_argument("--set", default="", help="settings of training, key=value,...")
    given = parser.parse_args()
    world = make_env(given.env)
    rows = []
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        options = parse_options("--set", given.set)
        folder = train("alphago", world, steps=given.steps, out=Path(out) / "alphago", options=options).folder
        seconds = time.perf_counter() - start
        whole = f"{folder}:simulations={given.simulations}"
        drawn = f"{folder}:simulations=0,greedy=false"
        searcher = f"mcts:simulations={given.simulations}"
        pairs = [("whole", whole, name, f"{whole},{how}") for name, how in WITHOUT.items()]
        pairs += [
            ("p_rho, best action", f"{folder}:simulations=0,prior=policy", "p_sigma, best", f"{folder}:simulations=0"),
            ("p_rho, drawn", f"{drawn},prior=policy", "p_sigma, drawn", drawn),
            ("whole", whole, searcher, searcher),
        ]
        for one, spec, other, rival in pairs:
            result = play_match(world, spec, rival, given.games, seed=1, opening=OPENING)
            elo = result.elo()
            rows.append({"one": one, "other": other, **result.tally(), "elo": [elo.value, elo.low, elo.high]})
    sheet = Sheet(title=f"AlphaGo on {world.id}: {given.steps} positions in {seconds:.0f} s, {given.games} games each")
    for column in ("", "against", "+ = -", "Elo (95 %)"):
        sheet.add_column(column)
    for row in rows:
        value, low, high = row["elo"]
        games = " ".join(str(row[k]) for k in ("wins", "draws", "losses"))
        sheet.add_row(row["one"], row["other"], games, f"{value:+.0f} [{low:+.0f}, {high:+.0f}]")
    Console(width=120).print(sheet)
    print(json.dumps({"benchmark": "alphago", "env": world.id, "steps": given.steps, "rows": rows}))


if __name__ == "__main__":
    main()
