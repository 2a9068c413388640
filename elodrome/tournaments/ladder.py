"""Ladders: the ratings of every world in results that were kept, in one database or in all of a showdown's folder."""

from __future__ import annotations

from pathlib import Path

from elodrome.arena.record import GameRecord
from elodrome.arena.store import RESULTS, Store
from elodrome.errors import UserError
from elodrome.home import local
from elodrome.tournaments.ratings import Leaderboard, leaderboard

BELOW = (f"*/{RESULTS}", f"*/*/{RESULTS}")  # where the databases of a showdown lie in its folder


def databases(source: Path) -> list[Path]:
    """The databases that ``source`` names: itself, the one in the folder, or those of the folders below it.

    Raises UserError where there is none.
    """
    if local(source).is_file():
        return [source]
    files = [source / RESULTS] if (source / RESULTS).is_file() else []
    files = files or sorted(file for pattern in BELOW for file in source.glob(pattern))
    if not files:
        raise UserError(f"{source}: no results there yet; play a match or a tournament first")
    return files


def ladders(source: Path, env: str | None = None) -> list[Leaderboard]:
    """One leaderboard for each world of which ``source`` holds games, or for the world ``env`` alone.

    Games of one world from several databases count together, one that stands in two of them once.
    """
    stores = [Store(file) for file in databases(source)]
    worlds = [env] if env is not None else sorted({world for store in stores for world in store.envs()})
    boards = []
    for world in worlds:
        records: dict[GameRecord, None] = dict.fromkeys(game for store in stores for game in store.games(world))
        missing = [store.missing(world) for store in stores]
        unplayed = [games for found, _ in missing for games in found]
        left_out = {agent: reason for _, found in missing for agent, reason in found.items()}
        boards.append(leaderboard(list(records), world, (), unplayed, left_out))
    return boards
