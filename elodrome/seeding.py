"""Seeds that are derived, never global: the same keys give the same stream on every machine."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


def derive(seed: int, *keys: int | str) -> int:
    """A 64-bit seed that depends on ``seed`` and on every key, and on nothing else."""
    text = repr((int(seed), *keys)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def generator(seed: int, *keys: int | str) -> np.random.Generator:
    """A NumPy generator on the derived seed."""
    return np.random.Generator(np.random.PCG64(derive(seed, *keys)))


def mix64(words: U64) -> U64:
    """SplitMix64's output function, elementwise: spreads neighbouring words over all 64 bits."""
    z = words.astype(np.uint64)
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return z ^ (z >> np.uint64(31))


def streams(seed: int, count: int) -> U64:
    """``count`` independent SplitMix64 states, shape [count], for the rows of a batch."""
    return mix64(np.uint64(seed & 0xFFFFFFFFFFFFFFFF) + _GOLDEN * np.arange(1, count + 1, dtype=np.uint64))


def branches(words: U64, count: int) -> U64:
    """``count`` words [k, count] from each of words [k]."""
    columns: U64 = np.add.outer(words, np.arange(1, count + 1, dtype=np.uint64))
    return mix64(columns)


def units(words: U64) -> npt.NDArray[np.float64]:
    """Random words as numbers in [0, 1), evenly spaced: their upper 53 bits."""
    uniform: npt.NDArray[np.float64] = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniform
