"""Batched tree search for self-play against mctx with pgx, Connect Four: simulations per second.

    pip install -e .[bench]
    python benchmarks/selfplay.py [--device cpu|cuda] [--games 256] [--simulations 32] [--json]

All cores, the same games, simulations a move and shape of network (``agents/search/boardnet.py``; mctx's is written
with jax.lax convolutions, normalisation folded away on both sides). Both searches start from the same kind of
positions, a few random plies into games; repeats take turns. Simulations are those really made: ours stop early at
proven roots, so the solver is off here. mctx's discount of -1 makes its values those of the seat to act, as in pgx's
AlphaZero example.

On cuda: ours alone, with batches doubled until positions/s no longer grow.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table as Sheet

from elodrome import make_env
from elodrome.agents.search import roots, tree
from elodrome.agents.search.boardnet import BoardNet, NetEvaluator
from elodrome.agents.search.forest import CompiledEvaluator, Evaluator, SearchConfig, Searcher
from elodrome.agents.search.selfplay import PlayConfig, SelfPlay
from elodrome.envs.game import Game
from elodrome.envs.table import CompiledTable

REPEATS, TURN = 5, 0.3
PLIES = 6  # random plies before the position that is searched
NETS = {"32x2": (32, 2), "64x3": (64, 3)}


def positions_of(world: Game, games: int, seed: int = 1) -> CompiledTable:
    """Games that have come ``PLIES`` random plies far (none can be over by then)."""
    rng = np.random.default_rng(seed)
    table, rows = CompiledTable(world, games), np.arange(games)
    table.reset(rows, rows.astype(np.uint64))
    for _ in range(PLIES):
        weights = rng.random((games, world.actions)) * table.legal(rows)
        table.step(rows, weights.argmax(axis=1))
    return table


@CompiledEvaluator
def uniform(k: int, observations: Any, legal: Any, seats: Any, states: Any, logits: Any, values: Any) -> None:
    """The trivial evaluator: all actions alike, value 0; compiled, as mctx's is."""
    for i in range(k):
        for a in range(legal.shape[1]):
            logits[i, a] = 0.0
        values[i] = 0.0


class Clock:
    """Seconds spent in a function, by all threads together."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.spans: list[float] = []  # appending is safe from several threads

    def __call__(self, *arguments: Any) -> Any:
        start = time.perf_counter()
        answer = self.function(*arguments)
        self.spans.append(time.perf_counter() - start)
        return answer

    def take(self) -> float:
        """The seconds so far, and start anew."""
        total = sum(self.spans)
        self.spans.clear()
        return total


IN_TREE = [Clock(tree.grow), Clock(tree.run), Clock(roots.conclude)]
tree.grow, tree.run, roots.conclude = IN_TREE


class Ours:
    """Our search of all games at once, without the solver, so that every simulation is made."""

    def __init__(self, world: Game, games: int, simulations: int, gumbel: bool, evaluate: Evaluator, workers: int):
        config = SearchConfig(simulations=simulations, gumbel=gumbel, considered=16, solver=False)
        self.network = Clock(evaluate)
        # A compiled evaluator is asked from within the trees, and counts as their time.
        asked = evaluate if isinstance(evaluate, CompiledEvaluator) else self.network
        self.searcher = Searcher(world, config, asked, shard=max(1, -(-games // workers)), threads=workers)
        table = positions_of(world, games)
        self.rows = np.arange(games)
        self.roots, self.plies = table.states(self.rows), table.plies.copy()
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        seeds = (self.rows + self.calls * len(self.rows)).astype(np.uint64)
        self.searcher.search(self.roots, self.plies, seeds, explore=True)


def shares(ours: Ours, workers: int, seconds: float) -> dict[str, float]:
    """The share of the workers' time in the tree, in the network and in the rest."""
    in_tree, network = (sum(c.take() for c in IN_TREE) / (workers * seconds), ours.network.take() / (workers * seconds))
    return {"tree": in_tree, "network": network, "rest": max(0.0, 1.0 - in_tree - network)}


def timed(calls: list[Callable[[], Any]]) -> list[float]:
    """Seconds per call, the median of repeats in which all take turns, after one call each to warm up. A turn takes
    ``TURN`` seconds or more: threads that one program left spinning do not count against the other for long."""
    for call in calls:
        call()
    spent: list[list[float]] = [[] for _ in calls]
    for _ in range(REPEATS):
        for call, seconds in zip(calls, spent, strict=True):
            start, made = time.perf_counter(), 0
            while made == 0 or time.perf_counter() - start < TURN:
                call()
                made += 1
            seconds.append((time.perf_counter() - start) / made)
    return [median(seconds) for seconds in spent]


def mctx_search(games: int, simulations: int, gumbel: bool, shape: tuple[int, int] | None) -> Callable[[], Any]:
    """One jitted call of mctx with pgx's Connect Four; shape: channels and blocks, None for the trivial evaluator."""
    import jax
    import jax.numpy as jnp
    import mctx
    import pgx

    env: Any = pgx.make("connect_four")
    actions = env.num_actions

    def weights(key: Any, *sizes: int) -> Any:
        return jax.random.normal(key, sizes) / np.sqrt(np.prod(sizes[:-1])), jnp.zeros(sizes[-1])

    def convolve(x: Any, part: Any) -> Any:
        return (
            jax.lax.conv_general_dilated(x, part[0], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            + part[1]
        )

    keys = iter(jax.random.split(jax.random.PRNGKey(0), 64))
    params: dict[str, Any] = {}
    if shape:
        channels, blocks = shape
        params = {
            "stem": weights(next(keys), 3, 3, 2, channels),
            "blocks": [[weights(next(keys), 3, 3, channels, channels) for _ in range(2)] for _ in range(blocks)],
            "look": weights(next(keys), 1, 1, channels, 4),
            "policy": weights(next(keys), 168, actions),
            "judge": weights(next(keys), 1, 1, channels, 4),
            "hidden": weights(next(keys), 168, 2 * channels),
            "value": weights(next(keys), 2 * channels, 1),
        }

    def network(params: Any, seen: Any) -> Any:
        if not shape:
            return jnp.zeros((seen.shape[0], actions)), jnp.zeros(seen.shape[0])
        x = jax.nn.relu(convolve(seen.astype(jnp.float32), params["stem"]))
        for one, two in params["blocks"]:
            x = jax.nn.relu(x + convolve(jax.nn.relu(convolve(x, one)), two))
        look, judge = (jax.nn.relu(convolve(x, params[k])).reshape(len(x), -1) for k in ("look", "judge"))
        hidden = jax.nn.relu(judge @ params["hidden"][0] + params["hidden"][1])
        value = jnp.tanh(hidden @ params["value"][0] + params["value"][1])[:, 0]
        return look @ params["policy"][0] + params["policy"][1], value

    def masked(logits: Any, state: Any) -> Any:
        return jnp.where(state.legal_action_mask, logits - logits.max(-1, keepdims=True), jnp.finfo(logits.dtype).min)

    def recurrent(params: Any, key: Any, action: Any, state: Any) -> Any:
        mover = state.current_player
        state = jax.vmap(env.step)(state, action)
        logits, value = network(params, state.observation)
        reward = state.rewards[jnp.arange(games), mover]
        over = state.terminated
        output = mctx.RecurrentFnOutput(
            reward=reward,
            discount=jnp.where(over, 0.0, -1.0),
            prior_logits=masked(logits, state),
            value=jnp.where(over, 0.0, value),
        )
        return output, state

    search = mctx.gumbel_muzero_policy if gumbel else mctx.muzero_policy

    @jax.jit
    def run(params: Any, state: Any, key: Any) -> Any:
        logits, value = network(params, state.observation)
        root = mctx.RootFnOutput(prior_logits=masked(logits, state), value=value, embedding=state)
        return search(
            params, key, root, recurrent, simulations, invalid_actions=~state.legal_action_mask, max_depth=None
        ).action_weights

    rng = np.random.default_rng(1)
    state = jax.vmap(env.init)(jax.random.split(jax.random.PRNGKey(0), games))
    step = jax.jit(jax.vmap(env.step))
    for _ in range(PLIES):
        state = step(state, (rng.random((games, actions)) * np.asarray(state.legal_action_mask)).argmax(1))
    seeds = iter(range(10**9))
    return lambda: jax.block_until_ready(run(params, state, jax.random.PRNGKey(next(seeds))))


def limit(network: NetEvaluator, world: Game, games: int, workers: int) -> float:
    """Evaluations per second of the network without a tree, in batches as large as the search's."""
    table = positions_of(world, games)
    seen = table.observe(np.arange(games))
    parts = [np.ascontiguousarray(part) for part in np.array_split(seen, workers)]
    pool = ThreadPoolExecutor(workers)
    (seconds,) = timed([lambda: [list(pool.map(network.answer, parts)) for _ in range(8)]])
    return 8 * games / seconds


def self_play(world: Game, games: int, simulations: int, gumbel: bool, evaluate: Evaluator, workers: int) -> float:
    """Positions per second of whole self-play, with the solver, one set of games per worker."""
    config = SearchConfig(simulations=simulations, gumbel=gumbel)
    width = max(1, games // workers)
    plays = [SelfPlay(world, width, config, PlayConfig(sample=12, opening=2), seed) for seed in range(workers)]
    pool = ThreadPoolExecutor(workers)
    (seconds,) = timed([lambda: list(pool.map(lambda play: play.play(evaluate, 4), plays))])
    return 4 * width * workers / seconds


def agreement(world: Game, net: BoardNet, device: str, simulations: int, positions: int = 1024) -> dict[str, float]:
    """How often bf16 plays fp32's move: the network's first choice alone, and that of a PUCT search without noise."""
    table, rows = positions_of(world, positions, seed=2), np.arange(positions)
    roots, plies, legal = table.states(rows), table.plies.copy(), table.legal(rows)
    first, found = [], []
    for precision in ("float32", "bfloat16"):
        network = NetEvaluator(net, device, precision)  # type: ignore[arg-type]
        logits, _ = network.answer(table.observe(rows))
        first.append(np.where(legal, logits, -np.inf).argmax(1))
        searcher = Searcher(world, SearchConfig(simulations=simulations), network)
        found.append(searcher.search(roots, plies, rows.astype(np.uint64)).choices)
    return {"network": float((first[0] == first[1]).mean()), "search": float((found[0] == found[1]).mean())}


def against_mctx(
    world: Game, games: int, simulations: int, workers: int, only: str, console: Console
) -> list[dict[str, Any]]:
    """Every evaluator, PUCT and Gumbel, beside mctx."""
    peer = find_spec("mctx") is not None and find_spec("pgx") is not None
    sheet = Sheet(title=f"Connect Four, {games} games, {simulations} simulations a move, {workers} cores")
    for column in ("evaluator", "root", "ours, sims/s", "mctx + pgx", "ratio", "bar", "tree / net / rest",
                   "network's limit", "self-play, positions/s"):  # fmt: skip
        sheet.add_column(column, justify="left" if column in ("evaluator", "root") else "right")
    lines: list[dict[str, Any]] = []
    work = games * simulations
    everything: dict[str, tuple[int, int] | None] = {"uniform": None, **NETS}
    for name, shape in everything.items():
        if only not in name:
            continue
        torch.manual_seed(0)
        net = BoardNet(world, *shape, ()) if shape else None
        agree = agreement(world, net, "cpu", simulations) if net else None
        for gumbel in (True, False):
            theirs = mctx_search(games, simulations, gumbel, shape) if peer else None
            for precision in ("float32", "bfloat16") if net else ("",):
                network = NetEvaluator(net, "cpu", precision) if net else None  # type: ignore[arg-type]
                evaluate = network or uniform
                ours = Ours(world, games, simulations, gumbel, evaluate, workers)
                seconds = timed([ours, theirs] if theirs else [ours])
                shares(ours, workers, 1.0)  # forget what was timed so far
                start = time.perf_counter()
                for _ in range(max(1, int(TURN / seconds[0]))):
                    ours()
                part = shares(ours, workers, time.perf_counter() - start)
                line = {
                    "evaluator": f"{name} {precision}".strip(), "gumbel": gumbel, "ours": work / seconds[0],
                    "mctx": work / seconds[1] if theirs else None,
                    "ratio": seconds[1] / seconds[0] if theirs else None,
                    "bar": 2 if precision == "float32" else 4, "shares": part,
                    "limit": limit(network, world, games, workers) if network else None,
                    "positions": self_play(world, games, simulations, gumbel, evaluate, workers),
                    "agreement": agree if precision == "bfloat16" else None,
                }  # fmt: skip
                lines.append(line)
                sheet.add_row(
                    line["evaluator"], "Gumbel" if gumbel else "PUCT", f"{line['ours']:,.0f}",
                    f"{line['mctx']:,.0f}" if theirs else "not installed",
                    f"{line['ratio']:.1f}x" if theirs else "", f"{line['bar']}x",
                    " / ".join(f"{part[k]:.0%}" for k in ("tree", "network", "rest")),
                    f"{line['limit']:,.0f}" if network else "", f"{line['positions']:,.0f}",
                )  # fmt: skip
        if agree:
            console.print(f"{name}: bf16 plays fp32's move in {agree['search']:.1%} of 1024 searches, "
                          f"{agree['network']:.1%} of the network's first choices (untrained weights)")  # fmt: skip
    console.print(sheet)
    return lines


def saturation(world: Game, device: str, simulations: int, largest: int, console: Console) -> list[dict[str, Any]]:
    """Games doubled until simulations/s no longer grow by a twentieth; two half-batches, so that the trees of one grow
    while the network answers the other."""
    sheet = Sheet(title=f"Connect Four on {device}, {simulations} simulations a move, bf16")
    for column in ("network", "games", "sims/s", "tree / net / rest", "network's limit", "self-play, positions/s"):
        sheet.add_column(column, justify="right")
    lines: list[dict[str, Any]] = []
    for name, shape in NETS.items():
        torch.manual_seed(0)
        network = NetEvaluator(BoardNet(world, *shape, ()), device, "bfloat16")
        games, best = 256, 0.0
        while games <= largest:
            ours = Ours(world, games, simulations, True, network, 2)
            (seconds,) = timed([ours])
            for clock in (*IN_TREE, ours.network):
                clock.take()
            start = time.perf_counter()
            ours()
            part = shares(ours, 2, time.perf_counter() - start)
            rate = games * simulations / seconds
            bound = limit(network, world, games, 2)
            positions = self_play(world, games, simulations, True, network, 2)
            lines.append(
                {"network": name, "games": games, "sims": rate, "shares": part, "limit": bound, "positions": positions}
            )
            sheet.add_row(name, str(games), f"{rate:,.0f}",
                          " / ".join(f"{part[k]:.0%}" for k in ("tree", "network", "rest")),
                          f"{bound:,.0f}", f"{positions:,.0f}")  # fmt: skip
            if rate < 1.05 * best:
                break
            best, games = max(best, rate), 2 * games
    console.print(sheet)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--games", type=int, default=256)
    parser.add_argument("--simulations", type=int, default=32)
    parser.add_argument("--saturate", type=int, default=0, metavar="GAMES",
                        help="look for the best batch up to so many games (default on cuda: 65536)")  # fmt: skip
    parser.add_argument("--only", default="", metavar="TEXT", help="only evaluators whose name holds this")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # one thread per worker
    world = make_env("connect_four")
    assert isinstance(world, Game)
    console = Console(width=150, quiet=arguments.json)
    workers = os.cpu_count() or 1
    largest = arguments.saturate or (65536 if arguments.device == "cuda" else 0)
    if largest:
        rows = saturation(world, arguments.device, arguments.simulations, largest, console)
    else:
        rows = against_mctx(world, arguments.games, arguments.simulations, workers, arguments.only, console)
    print(json.dumps({"benchmark": "selfplay", "device": arguments.device, "cores": workers, "rows": rows}))


if __name__ == "__main__":
    main()
