"""What the text policies of chapter 5 share: how a transformer acts, and how it is kept.

A policy speaks its answer token by token with a key-value cache. Acting runs in float64, so that what a position is
answered does not depend on the positions beside it (rounding there is far below what could turn a choice).
"""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from elodrome.agents.agent import Agent, Config, Evaluation, Ints, Positions, Task, check_device
from elodrome.agents.parts.kept import KeptLearner
from elodrome.agents.parts.networks import descend, load_module, module_arrays, to_tensor
from elodrome.agents.text.language import Language, Letters, Tokens, language_of, prompts_of
from elodrome.agents.text.lessons import Lesson, lesson_of
from elodrome.agents.text.transformer import Transformer, answer_logits, choose, generate, log_prob_of
from elodrome.envs.game import Game, World
from elodrome.errors import UserError
from elodrome.seeding import U64, derive, generator, mix64, units

CHUNK = 512  # positions answered at once
WARM_UP = 20  # updates


class TextConfig(Config):
    """width, layers, heads: of the transformer. temperature: of acting (0: the likeliest token). batch: answers per
    SFT update. learning_rate: of SFT (AdamW). explore: share of random moves in the games that positions are taken from
    (boards). best_of: random answers of which the best is imitated (token worlds)."""

    width: int = Field(64, ge=8, le=1024)
    layers: int = Field(2, ge=1, le=24)
    heads: int = Field(4, ge=1, le=32)
    temperature: float = Field(0.5, ge=0.0)
    batch: int = Field(256, ge=1)
    learning_rate: float = Field(3e-3, gt=0.0)
    explore: float = Field(0.5, ge=0.0, le=1.0)
    best_of: int = Field(4, ge=1)


def build(world: World, config: TextConfig, language: Language, outputs: int | None = None) -> Transformer:
    """A transformer of the sizes that world and config ask for, weights not set; outputs: the words where left out."""
    if config.width % config.heads:
        raise UserError(f"width {config.width} is no multiple of heads {config.heads}")
    context = language.prompt_length + language.answer_length
    return Transformer(
        language.inputs,
        outputs or language.words,
        context,
        width=config.width,
        layers=config.layers,
        heads=config.heads,
    )


class TextAgent(Agent):
    """A text policy that plays: boards by speaking an action's name, token worlds token by token."""

    config_class = TextConfig
    config: TextConfig

    def __init__(self, world: World, config: TextConfig, language: Language, network: Transformer) -> None:
        super().__init__(world, config)
        self.language = language
        self.network = copy.deepcopy(network).to("cpu", torch.float64).eval().requires_grad_(False)

    def act(self, positions: Positions) -> Ints:
        """An action for each position: on boards -1 where the answer names none (the arena calls that illegal)."""
        parts = [positions[i : i + CHUNK] for i in range(0, len(positions), CHUNK)]
        return np.concatenate([self._act(part) for part in parts]) if parts else np.zeros(0, np.int64)

    def _act(self, positions: Positions) -> Ints:
        prompts = torch.from_numpy(prompts_of(self.language, positions))
        uniforms = torch.from_numpy(uniforms_of(positions.seeds, self.language.answer_length))
        if isinstance(self.language, Letters):
            spoken = generate(
                self.network, prompts, uniforms, end=self.language.end, temperature=self.config.temperature
            )
            return self.language.read(spoken.answers.numpy())
        logits = self._next(self.language, prompts, positions)
        return choose(logits, uniforms[:, 0], self.config.temperature).numpy()

    @torch.no_grad()
    def _next(self, tokens: Tokens, texts: Tensor, positions: Positions) -> Tensor:
        """Logits [B, A] of the next token, -inf where it is not legal."""
        begin = tokens.prompt_length
        spoken = (texts[:, begin:] != tokens.pad).sum(dim=1)
        logits = self.network(texts[:, :-1], last=tokens.answer_length)[torch.arange(len(texts)), spoken]
        return logits.masked_fill(torch.from_numpy(positions.legal == 0), -torch.inf)

    @torch.no_grad()
    def evaluate(self, positions: Positions) -> Evaluation:
        """The probability of each action, among those answers that name one."""
        prompts = torch.from_numpy(prompts_of(self.language, positions))
        if isinstance(self.language, Tokens):
            scores = self._next(self.language, prompts, positions)
        else:
            names = torch.from_numpy(self.language.spelt)
            mask = torch.from_numpy(self.language.spelt_mask)
            scores = torch.stack(
                [
                    (log_prob_of(answer_logits(self.network, prompt.expand(len(names), -1), names), names) * mask).sum(
                        1
                    )
                    for prompt in prompts
                ]
            )
        return Evaluation(torch.softmax(scores, dim=1).numpy())


def uniforms_of(seeds: U64, count: int) -> npt.NDArray[np.float64]:
    """``count`` numbers in [0, 1) for each seed uint64 [B]: [B, count]."""
    words = mix64(seeds[:, None] + mix64(np.arange(1, count + 1, dtype=np.uint64)))
    return units(words)


class TextLearner(KeptLearner):
    """A transformer, its optimiser and its lesson; what is learnt, and in which order, is said by the subclasses.

    Every draw of update ``n`` comes from a seed derived from the task's and ``n``: nothing random is carried along.
    """

    KEEPS: ClassVar[tuple[str, ...]] = ("network", "optimiser", "updates")
    config_class: ClassVar[type[Config]] = TextConfig
    config: TextConfig
    unit = "updates"

    def __init__(self, task: Task, config: Config | None = None) -> None:
        super().__init__(task, config)
        self.device = check_device(task.device)
        self.language: Language = language_of(task.world)
        self.lesson: Lesson = lesson_of(
            task.world, self.language, explore=self.config.explore, best_of=self.config.best_of
        )
        self.network = build(task.world, self.config, self.language).start(task.seed).to(self.device)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=self.config.learning_rate, weight_decay=0.01)
        self.updates = 0

    def rng(self, purpose: str) -> np.random.Generator:
        """The generator of this update, for one purpose."""
        return generator(self.task.seed, purpose, self.updates)

    def uniforms(self, rows: int, purpose: str = "speak") -> Tensor:
        """Numbers in [0, 1) that choose the tokens of this update: [rows, L]."""
        source = torch.Generator().manual_seed(derive(self.task.seed, purpose, self.updates))
        return torch.rand(rows, self.language.answer_length, generator=source).to(self.device)

    def tensor(self, array: npt.NDArray[Any]) -> Tensor:
        """An array on the device; reals as float32."""
        return to_tensor(array, self.device)

    def sft_rate(self, total: int) -> float:
        """The learning rate of supervised fine-tuning: rises over the first updates, then falls until ``total``."""
        return self.config.learning_rate * min(1.0, (self.updates + 1) / WARM_UP) * falling(self.updates / total)

    def descend(self, loss: Tensor, learning_rate: float) -> float:
        """One step of AdamW down ``loss``, the gradient's norm at most 1; the norm before that."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        return float(descend(self.optimiser, loss, 1.0))

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        return {**module_arrays(self.network), **self.language.weights()}

    @classmethod
    def restore(cls, world: World, config: Any, weights: dict[str, npt.NDArray[Any]]) -> TextAgent:
        language: Language = Tokens(world) if world.kind == "tokens" else Letters.restore(cast(Game, world), weights)
        network = build(world, config, language)
        load_module(network, weights)
        return TextAgent(world, config, language, network)


def falling(done: float) -> float:
    """A factor from 1 down to 0.05, along a cosine, as ``done`` goes from 0 to 1."""
    return 0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * min(done, 1.0)))
