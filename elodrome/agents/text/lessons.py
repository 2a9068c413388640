"""Where answers and marks come from: data to imitate (notes 5.3.2) and verifiable rewards (5.5).

A lesson demonstrates (prompts with good answers), asks (prompts alone), and marks (rewards of answers to what it
asked). All draws come from the generator that is passed in.

Boards: positions are those of games in which each move is random with probability ``explore``, else good. Good
moves are the best ones by ``parts.solve.Judge``: by an exact solution, or two plies deep in larger games. The mark of a
move is 1 when it is best, less in proportion to what it gives away, 0 when no move anywhere gives away more (on a
board: a win turned into a loss), and -1 when the answer is no legal move.

Token worlds: a demonstration is the right answer, where the world writes it (``extra.solutions``), else the best of
``best_of`` uniformly random answers to the same prompt; a mark is the world's own reward, earned by stepping it; where
it checks steps (``extra.marks``), these have marks of their own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from elodrome.agents.agent import Ints
from elodrome.agents.parts.solve import Judge
from elodrome.agents.text.language import Language, Letters, Tokens, any_of
from elodrome.envs.game import Game, Reals, Words, World
from elodrome.envs.table import Table
from elodrome.errors import UserError
from elodrome.seeding import U64

Booleans = npt.NDArray[np.bool_]
TIE = 1e-9  # values nearer than this are equal
BAD = -1.0  # the mark of an answer that is no legal move


@dataclass(frozen=True)
class Question:
    """N prompts int64 [N, P] and what is needed to mark their answers: state rows [N, W], or seeds [N] that start a
    token world with the same prompts again."""

    prompts: Ints
    states: Words | None = None
    seeds: U64 | None = None


class Lesson(ABC):
    """A world as a teacher."""

    @abstractmethod
    def demonstrate(self, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Prompts int64 [B, P] with good answers int64 [B, L]; B <= ``count``."""

    @abstractmethod
    def ask(self, count: int, rng: np.random.Generator) -> Question:
        """Questions, at most ``count``."""

    @abstractmethod
    def mark(self, question: Question, answers: Ints) -> tuple[Reals, Booleans]:
        """Rewards float64 [N * G] of answers int64 [N * G, L], and whether each broke the rules. The G answers to
        one prompt stand side by side."""


class BoardLesson(Lesson):
    """A board as a teacher."""

    def __init__(self, world: Game, letters: Letters, explore: float) -> None:
        self.world, self.letters, self.explore = world, letters, explore
        self.judge = Judge(world)

    def positions(self, count: int, rng: np.random.Generator) -> tuple[Words, Ints]:
        """At most ``count`` different states [B, W] and their seats to act [B], of games of their own."""
        games = max(8, count // 2)
        table = self.world.table(games)
        live = np.arange(games)
        table.reset(live, rng.integers(0, 2**64, games, dtype=np.uint64))
        states, seats = [], []
        while len(live := live[table.seats[live] >= 0]):
            shown = table.states(live)
            if shown is None:
                raise UserError(f"{self.world.id} has no state that could be drawn")
            states.append(shown)
            seats.append(table.seats[live].copy())
            free = rng.random(len(live)) < self.explore
            table.step(live, any_of(np.where(free[:, None], table.legal(live), self.best(shown)), rng))
        rows, first = np.unique(np.concatenate(states), axis=0, return_index=True)
        chosen = rng.permutation(len(rows))[:count]
        return rows[chosen], np.concatenate(seats)[first[chosen]]

    def best(self, states: Words) -> Booleans:
        """The best actions [B, A]."""
        q = self.judge.values(states)
        best: Booleans = q >= q.max(axis=1, keepdims=True) - TIE
        return best

    def demonstrate(self, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        states, seats = self.positions(count, rng)
        return self.letters.prompts(states, seats), self.letters.spelt[any_of(self.best(states), rng)]

    def ask(self, count: int, rng: np.random.Generator) -> Question:
        states, seats = self.positions(count, rng)
        return Question(self.letters.prompts(states, seats), states=states)

    def mark(self, question: Question, answers: Ints) -> tuple[Reals, Booleans]:
        q = self.judge.values(cast(Words, question.states))
        of = np.repeat(np.arange(len(q)), len(answers) // len(q))
        actions = self.letters.read(answers)
        value = q[of, np.maximum(actions, 0)]
        illegal: Booleans = (actions < 0) | np.isneginf(value)
        lost = (q.max(axis=1)[of] - np.where(illegal, 0.0, value)) / self.judge.stake
        return np.where(illegal, BAD, 1.0 - lost), illegal


class TokenLesson(Lesson):
    """A token world as a teacher."""

    def __init__(self, world: World, tokens: Tokens, best_of: int) -> None:
        self.world, self.tokens, self.best_of = world, tokens, best_of

    def demonstrate(self, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        solutions = getattr(getattr(self.world, "extra", None), "solutions", None)
        times = 1 if solutions else self.best_of
        rows = np.arange(count * times)
        table = self.world.table(len(rows))
        table.reset(rows, np.repeat(rng.integers(0, 2**64, count, dtype=np.uint64), times))
        prompts = self.tokens.prompts(table.observe(rows))
        if solutions:
            return prompts, solutions(table.states(rows))
        answers = np.full((len(rows), self.tokens.answer_length), self.tokens.end, np.int64)
        returns = np.zeros(len(rows))
        for t in range(self.tokens.answer_length):
            live = rows[table.seats[rows] >= 0]
            if not len(live):
                break
            answers[live, t] = any_of(table.legal(live), rng)
            returns[live] += table.step(live, answers[live, t])[:, 0]
        best = returns.reshape(count, -1).argmax(axis=1) + np.arange(count) * self.best_of
        return prompts[best], answers[best]

    def ask(self, count: int, rng: np.random.Generator) -> Question:
        seeds = rng.integers(0, 2**64, count, dtype=np.uint64)
        rows = np.arange(count)
        table = self.world.table(count)
        table.reset(rows, seeds)
        return Question(self.tokens.prompts(table.observe(rows)), seeds=seeds)

    def mark(self, question: Question, answers: Ints) -> tuple[Reals, Booleans]:
        _, rewards, illegal = self._spoken(question, answers)
        return np.where(illegal, BAD, rewards), illegal

    def mark_steps(self, question: Question, answers: Ints) -> Ints:
        """1 or -1 at the token that ends a right or a wrong step of answers int64 [N * G, L], and at the last one; 0
        elsewhere. Raises UserError where the world checks no steps."""
        marks = getattr(getattr(self.world, "extra", None), "marks", None)
        if marks is None:
            raise UserError(f"{self.world.id} checks no steps; a world that does is arithmetic:steps=true")
        table, _, _ = self._spoken(question, answers)
        return cast(Ints, marks(table.states(np.arange(len(answers))))[0])

    def _spoken(self, question: Question, answers: Ints) -> tuple[Table, Reals, Booleans]:
        """The games in which the answers were given, what they earned, and which of them broke the rules."""
        seeds = cast(U64, question.seeds)
        rows = np.arange(len(answers))
        table = self.world.table(len(rows))
        table.reset(rows, np.repeat(seeds, len(rows) // len(seeds)))
        rewards, illegal = np.zeros(len(rows)), np.zeros(len(rows), np.bool_)
        for t in range(answers.shape[1]):
            live = rows[(table.seats[rows] >= 0) & ~illegal]
            if not len(live):
                break
            allowed = table.legal(live)[np.arange(len(live)), answers[live, t]] != 0
            illegal[live[~allowed]] = True
            rewards[live[allowed]] += table.step(live[allowed], answers[live[allowed], t])[:, 0]
        return table, rewards, illegal


def lesson_of(world: World, language: Language, *, explore: float, best_of: int) -> Lesson:
    """The lesson that fits the world. Raises UserError where its moves cannot be judged."""
    if isinstance(language, Tokens):
        return TokenLesson(world, language, best_of)
    if not isinstance(world, Game):
        raise UserError(f"{world.id} has no rules of ours to judge moves by")
    return BoardLesson(world, language, explore)
