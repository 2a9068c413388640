"""What search trees are made of, as compiled code and NumPy see it: flat arrays of records.

Nodes and edges are records, so that what a walk reads at one of them shares a cache line.

Letters: B games, A actions, W words of a row, O floats of an observation, N nodes of a tree, E edges, D depth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import from_dtype, types

from elodrome.envs.engine import FLOAT_ROWS, MASKS, REAL_ROWS, ROWS
from elodrome.envs.intrinsics import function_at
from elodrome.envs.signatures import FLOATS, I8, WORDS

# first: its first edge; size: number of edges; value: mean return of seat 0 (where seat 1 acts, minus its own), of the
# node's own judgement and its edges, weighed by their visits; sure: the greatest return that is proven of the mover,
# -inf where none is; seat: that acts; proven: value is exact.
NODE = np.dtype(
    [
        *(("first", "i4"), ("visits", "i4"), ("value", "f4"), ("sure", "f4")),
        *(("size", "u2"), ("seat", "u1"), ("proven", "u1")),
    ],
    align=True,
)
# mean: return of the mover; child: its node or -1; reward: of seat 0; proven: the child is, and mean is exact.
EDGE = np.dtype(
    [
        *(("prior", "f4"), ("visits", "i4"), ("mean", "f4"), ("child", "i4"), ("reward", "f4")),
        *(("action", "u2"), ("proven", "u1")),
    ],
    align=True,
)
MOST_ACTIONS = 2**16 - 1  # that an edge's record can tell apart
# nodes, edges: used; done: simulations made; depth: of the pending path; low, high: least and greatest return seen;
# raw: the network's value of the root, for its mover.
GAME = np.dtype(
    [("nodes", "i4"), ("edges", "i4"), ("done", "i4"), ("depth", "i4"), ("low", "f8"), ("high", "f8"), ("raw", "f4")],
    align=True,
)
STEP = np.dtype([("edge", "i4"), ("node", "i4")], align=True)  # of a path: an edge, and the node it leaves
# A game that waits for the network: node to be made, node above and action taken there.
LEAF = np.dtype([(name, "i8") for name in ("game", "node", "above", "taken")], align=True)


I4_ROWS = types.Array(types.int32, 2, "C")


def _records(dtype: Any, dimensions: int) -> Any:
    return types.Array(from_dtype(dtype), dimensions, "C")


NODES, EDGES, PATH, GAMES = _records(NODE, 1), _records(EDGE, 1), _records(STEP, 1), _records(GAME, 1)
# The trees: nodes [B, N], edges [B, E], pending paths [B, D], games [B], and of the root's edges, in their order, the
# logarithm of the prior [B, A] and the Gumbel noise [B, A].
TREE = types.Tuple((_records(NODE, 2), _records(EDGE, 2), _records(STEP, 2), GAMES, REAL_ROWS, FLOAT_ROWS))
# What waits for the network: leaves [k], seats to act [k], states [k, W] (worlds only), legal actions [k, A],
# observations [k, O].
LEAVES = types.Tuple((_records(LEAF, 1), WORDS, ROWS, MASKS, FLOAT_ROWS))

# An evaluator in compiled code: (k, observations [., O], legal [., A], seats [.], states [., W], logits [., A],
# values [.]) writes the first k rows of the last two.
EVALUATE = types.void(I8, FLOAT_ROWS, MASKS, WORDS, ROWS, FLOAT_ROWS, FLOATS)
evaluator_at = function_at(EVALUATE)

# Numbers of a search: see ``forest.SearchConfig``; TOP: the greatest return there is.
SIMULATIONS, C, FPU, DISCOUNT, SOLVER, TOP, C_VISIT, C_SCALE, ALPHA, NOISE, ENDGAME = range(11)
TIE = 1e-6  # what rounding may do to a proven return
