"""Keeping games: an open one as a small JSON file after every move, a finished one in the results."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from elodrome.agents.parts.saved import replace_file, world_slug
from elodrome.arena.record import GameRecord
from elodrome.arena.ui.session import Session
from elodrome.envs.actions import Action
from elodrome.envs.game import World
from elodrome.errors import IllegalAction, UserError
from elodrome.files import GAME, read_text
from elodrome.home import home

ASIDE = ".finished"  # ends the name of a file with a finished game that the results refused


class KeptGame(BaseModel):
    """A game as it lies on disk. drivers and rotation say who moves which seat; status "left" is a game that was
    given up for a new one, "over" one that the results do not count (sides or opponent changed in the middle)."""

    model_config = ConfigDict(frozen=True)
    id: str
    world: str
    drivers: tuple[str, ...]
    rotation: int
    seed: int
    agent_seed: int
    moves: tuple[Action, ...]
    taken_back: int
    mixed: bool
    status: Literal["open", "left", "over"]


def snapshot(session: Session, status: Literal["open", "left", "over"]) -> KeptGame:
    """The game of a session as it stands."""
    return KeptGame(
        id=session.id,
        world=session.world.id,
        drivers=tuple(driver.label for driver in session.drivers),
        rotation=session.rotation,
        seed=session.seed,
        agent_seed=session.agent_seed,
        moves=tuple(ply.action for ply in session.history),
        taken_back=session.taken_back,
        mixed=session.mixed,
        status=status,
    )


def games_folder(world: World) -> Path:
    """Where games of ``world`` are kept that are not in the results."""
    return home() / "games" / world_slug(world.id)


class Archive:
    """The games of one world on disk. Its methods write files: call them off the drawing thread."""

    def __init__(self, world: World, folder: Path | None = None, results: Path | None = None) -> None:
        self.folder = folder or games_folder(world)
        self.results = results or home() / "results.sqlite"

    def _file(self, id: str) -> Path:
        return self.folder / f"{id}.json"

    def keep(self, game: KeptGame) -> None:
        """Write a game; one without moves is not worth a file. Raises UserError when the disk refuses."""
        if game.moves:
            replace_file(self._file(game.id), game.model_dump_json(indent=1).encode())
        else:
            self._file(game.id).unlink(missing_ok=True)

    def finish(self, record: GameRecord) -> None:
        """Put a finished game into the results, and drop its file.

        Results that refuse it raise UserError; the game then lies in a file of its own, and the next game that is
        finished takes it along.
        """
        from elodrome.arena.store import Store

        aside = self.folder / f"{record.id}{ASIDE}"
        waiting = {file: game for file in self.folder.glob(f"*{ASIDE}") if (game := _read_aside(file)) is not None}
        try:
            with Store(self.results) as store:
                store.add([*waiting.values(), record])
        except UserError as error:
            replace_file(aside, record.model_dump_json(indent=1).encode())
            raise UserError(f"{error}; the game is kept in {aside} until the next one is finished") from error
        for file in (*waiting, aside, self._file(record.id)):
            file.unlink(missing_ok=True)

    def unfinished(self, drivers: tuple[str, ...], within: float = 7 * 86400.0) -> KeptGame | None:
        """The latest open game between these drivers, not older than ``within`` seconds."""
        files = sorted(self.folder.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[:20]:
            try:
                game = KeptGame.model_validate_json(read_text(file, GAME))
            except (UserError, ValidationError):
                continue  # a broken file costs the offer to go on with it, nothing else
            if game.status == "open" and game.drivers == drivers and time.time() - file.stat().st_mtime < within:
                return game
        return None


def _read_aside(file: Path) -> GameRecord | None:
    """A finished game that the results refused, or None for a file that is broken."""
    try:
        return GameRecord.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None


def go_on(session: Session, game: KeptGame) -> bool:
    """Set the session to a kept game; False, with a fresh game, when it does not obey the rules any more."""
    if game.world != session.world.id:
        return False
    rotation, session.rotation = session.rotation, game.rotation
    try:
        session.restore(
            id=game.id, seed=game.seed, agent_seed=game.agent_seed, actions=game.moves, taken_back=game.taken_back
        )
    except IllegalAction:
        session.rotation = rotation
        session.new_game()
        return False
    session.mixed = game.mixed
    return True
