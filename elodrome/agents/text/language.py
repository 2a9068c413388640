"""How a world is put into tokens: what a text policy reads, and what its answer means.

Two languages. A token world speaks for itself: its actions are the vocabulary. A board is spelt: its drawing is the
prompt, the name of an action is the answer, and an answer that is no name is no action (-1).

Ids: 0 .. words - 1 can be spoken, ``end`` among them; ``pad`` and what follows are read only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.agents.agent import Ints, Positions
from elodrome.agents.parts.saved import expect
from elodrome.envs.game import Floats, Game, Words, World
from elodrome.errors import BrokenAgent, UserError
from elodrome.seeding import derive, generator, streams

SAMPLE_GAMES = 64
UNKNOWN = -1  # the action that an unreadable answer stands for: no world has it


class Tokens:
    """A token world's own vocabulary (notes, definition 5.1). Observations hold token + 1, 0 where nothing is yet."""

    def __init__(self, world: World) -> None:
        self.horizon = world.max_steps
        self.words = world.actions
        self.end, self.pad, self.begin = self.words - 1, self.words, self.words + 1
        self.inputs = self.words + 2
        self.prompt_length = 1 + world.observation_size - self.horizon
        self.answer_length = self.horizon

    def texts(self, observations: Floats) -> Ints:
        """Begin, prompt, and the tokens so far, padded at the end: int64 [B, prompt_length + horizon]."""
        flat = observations.reshape(len(observations), -1).astype(np.int64) - 1
        flat[flat < 0] = self.pad
        return np.concatenate([np.full((len(flat), 1), self.begin), flat], axis=1)

    def prompts(self, observations: Floats) -> Ints:
        """The part of ``texts`` before the first token of the answer: int64 [B, prompt_length]."""
        return self.texts(observations)[:, : self.prompt_length]

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """Nothing: the world says it all."""
        return {}


class Letters:
    """A board, spelt: the prompt is the drawing and whose turn it is, the answer an action's name.

    ``letters`` are the characters known. Where seats are named by their marks (X, O), the drawing is told from the
    mover's side: its own stones bear the first seat's mark. Prompts are padded in front to ``prompt_length``.
    """

    def __init__(self, world: Game, letters: str, prompt_length: int) -> None:
        self.world = world
        self.letters = letters
        self.words = len(letters) + 1
        self.end, self.pad = self.words - 1, self.words
        self.inputs = self.words + 1
        self.prompt_length = prompt_length
        self._ids = {letter: i for i, letter in enumerate(letters)}
        self._names = [world.action_name(a) for a in range(world.actions)]
        self.answer_length = 1 + max(len(name) for name in self._names)
        self.spelt = np.full((world.actions, self.answer_length), self.end, np.int64)
        for a, name in enumerate(self._names):
            self.spelt[a, : len(name)] = [self._ids.get(letter, self.pad) for letter in name]
        self.spelt_mask = (np.cumsum(self.spelt == self.end, axis=1) <= 1).astype(np.float64)
        self._actions = {spelt.tobytes(): a for a, spelt in reversed(list(enumerate(self.spelt)))}

    @classmethod
    def of(cls, world: Game) -> Letters:
        """The letters of a world, from random games and all its actions' names. Raises UserError where an observer
        could not be shown the drawing (hidden information)."""
        if world.information != "perfect" or world.simultaneous:
            raise UserError(f"{world.id} hides its state, so its drawing cannot be a prompt")
        texts = [describe(world, state, seat) for state, seat in random_states(world, SAMPLE_GAMES)]
        letters = sorted(
            {letter for text in [*texts, *map(world.action_name, range(world.actions))] for letter in text}
        )
        return cls(world, "".join(letters), max(len(text) for text in texts))

    @classmethod
    def restore(cls, world: Game, weights: dict[str, npt.NDArray[Any]]) -> Letters:
        """The letters saved with an agent. Raises BrokenAgent where they are none."""
        if "letters" not in weights or weights["letters"].ndim != 1:
            raise BrokenAgent("no array 'letters'")
        length = int(expect(weights, "prompt_length", (1,))[0])
        try:
            letters = "".join(map(chr, weights["letters"].tolist()))
        except (ValueError, TypeError, OverflowError) as error:
            raise BrokenAgent(f"letters are no characters: {error}") from error
        if not 0 < length <= 65536:
            raise BrokenAgent(f"prompt_length is {length}")
        return cls(world, letters, length)

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """What ``restore`` needs."""
        return {
            "letters": np.array([ord(letter) for letter in self.letters], np.int64),
            "prompt_length": np.array([self.prompt_length], np.int64),
        }

    def prompts(self, states: Words, seats: Ints) -> Ints:
        """State rows [B, W] and their seats to act as int64 [B, prompt_length]; unknown letters are padding."""
        out = np.full((len(states), self.prompt_length), self.pad, np.int64)
        for b, (state, seat) in enumerate(zip(states, seats, strict=True)):
            text = describe(self.world, state, int(seat))[-self.prompt_length :]
            out[b, self.prompt_length - len(text) :] = [self._ids.get(letter, self.pad) for letter in text]
        return out

    def read(self, answers: Ints) -> Ints:
        """The actions named by answers int64 [B, answer_length], ``end`` from the end on; UNKNOWN where none is."""
        rows = np.ascontiguousarray(answers, np.int64)
        return np.array([self._actions.get(answer.tobytes(), UNKNOWN) for answer in rows], np.int64)

    def say(self, answer: Ints) -> str:
        """One answer as characters, for people."""
        return "".join(self.letters[i] for i in answer if i < self.end)


Language = Tokens | Letters


def describe(world: Game, state: Words, seat: int) -> str:
    """What a text policy is told: the drawing, and on a line of its own the seat that is to move."""
    text, names = world.draw(state), world.seat_names
    if all(len(name) == 1 for name in names):
        # Told from the mover's side, what was learnt in one seat helps in the other.
        text = text.translate({ord(name): names[(s - seat) % len(names)] for s, name in enumerate(names)})
    return f"{text}\n{world.seat_name(seat)}"


def random_states(world: Game, games: int) -> list[tuple[Words, int]]:
    """The states, with the seat to act, of ``games`` random games (always the same ones)."""
    rng = generator(0, "letters")
    table = world.table(games)
    live = np.arange(games)
    table.reset(live, streams(derive(0, "letters"), games))
    found: list[tuple[Words, int]] = []
    while True:
        live = live[table.seats[live] >= 0]
        if not len(live):
            return found
        states = table.states(live)
        if states is None:
            raise UserError(f"{world.id} has no state that could be drawn")
        found += zip(states, table.seats[live].tolist(), strict=True)
        table.step(live, any_of(table.legal(live), rng))


def any_of(mask: npt.NDArray[Any], rng: np.random.Generator) -> Ints:
    """One of the entries that are not 0 in each row of ``mask`` [B, A], all equally likely: int64 [B]."""
    return ((1.0 - rng.random(mask.shape)) * (mask != 0)).argmax(axis=1)


def language_of(world: World) -> Language:
    """The language in which ``world`` is spoken to. Raises UserError where it cannot be put into words."""
    if world.kind == "tokens":
        return Tokens(world)
    if not isinstance(world, Game) or world.text is None:
        raise UserError(f"{world.id} cannot be written as text")
    return Letters.of(world)


def prompts_of(language: Language, positions: Positions) -> Ints:
    """The prompts int64 [B, P] of positions, as an arena shows them."""
    if isinstance(language, Tokens):
        return language.texts(positions.observations)
    if positions.states is None:
        raise UserError(f"{positions.world.id} hides its state, so its drawing cannot be a prompt")
    return language.prompts(positions.states, positions.seats)
