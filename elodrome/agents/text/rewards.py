"""Learned rewards (notes 5.3.3): transformers that give a whole answer one number, alone, several together, or as a
weighted sum of saved ones; and the agent that speaks what they like best.

B answers [B, L] to prompts [B, P], ``end`` from the end on; K members of an ensemble; N tries.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Literal, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from elodrome.agents.agent import Ints, Positions
from elodrome.agents.ops.preference import cautious
from elodrome.agents.parts.networks import frozen
from elodrome.agents.registry import make_agent
from elodrome.agents.text.language import Language, Letters, prompts_of
from elodrome.agents.text.pairs import PairConfig
from elodrome.agents.text.policy import TextAgent, uniforms_of
from elodrome.agents.text.transformer import Transformer, generate, spoken_mask
from elodrome.envs.game import World
from elodrome.errors import UserError

Reward = Callable[[Tensor, Tensor], Tensor]


class RewardConfig(PairConfig):
    """members: networks of the ensemble, each with weights at first and an order of the pairs of its own. together:
    what they say as one, their "mean" less ``caution`` times their deviation, or the "least" of them. start: a
    network's weights at first are those of the policy but for the head ("sft"), or all "fresh". centring: pull of
    (r_w + r_l)^2, which fixes the constant of each prompt that (5.4) leaves open: members cannot be compared without.
    held_out: pairs to measure by. tries: answers of which the best is spoken. temperature: of these."""

    members: int = Field(1, ge=1, le=64)
    together: Literal["mean", "least"] = "mean"
    caution: float = Field(0.0, ge=0.0)
    start: Literal["sft", "fresh"] = "fresh"
    centring: float = Field(0.03, ge=0.0)
    held_out: int = Field(1024, ge=1)
    tries: int = Field(16, ge=1, le=1024)
    temperature: float = Field(1.0, ge=0.0)


def score(network: Transformer, prompts: Tensor, answers: Tensor, end: int) -> Tensor:
    """r(x, y) [B], in units of the marks: what a network of one output says behind the last token that was spoken."""
    told = network(torch.cat([prompts, answers], dim=1), last=answers.shape[1]).squeeze(2)
    last = spoken_mask(answers, end).sum(dim=1, keepdim=True).long() - 1
    return told.gather(1, last).squeeze(1)


def agreed(members: nn.ModuleList, config: RewardConfig, prompts: Tensor, answers: Tensor, end: int) -> Tensor:
    """The reward [B] of all members together."""
    each = torch.stack([score(cast(Transformer, member), prompts, answers, end) for member in members])
    return each.amin(dim=0) if config.together == "least" else cautious(each, config.caution)


class RewardAgent(TextAgent):
    """Best of N: a policy speaks ``tries`` answers, and the one with the highest reward is given. Where it is asked
    token by token, it ends what was said so far ``tries`` times, and the best end's first token comes next; what is
    not legal never does while there is something else. ``evaluate`` shows the policy before the reward is asked."""

    config: RewardConfig

    def __init__(
        self, world: World, config: RewardConfig, language: Language, network: Transformer, members: nn.ModuleList
    ) -> None:
        super().__init__(world, config, language, network)
        self.members = cast(nn.ModuleList, frozen(copy.deepcopy(members)))

    @torch.no_grad()
    def _act(self, positions: Positions) -> Ints:
        texts = torch.from_numpy(prompts_of(self.language, positions))
        begin, tries, longest = self.language.prompt_length, self.config.tries, self.language.answer_length
        uniforms = torch.from_numpy(uniforms_of(positions.seeds, tries * longest))
        spoken = (texts[:, begin:] != self.language.pad).sum(dim=1)  # none on boards, whose texts are prompts alone
        actions = np.zeros(len(positions), np.int64)
        for length in sorted(set(spoken.tolist())):
            rows = torch.nonzero(spoken == length).flatten()
            prompts = texts[rows, : begin + length]
            ends = generate(
                self.network,
                prompts,
                uniforms[rows].view(len(rows) * tries, longest)[:, length:],
                end=self.language.end,
                temperature=self.config.temperature,
                group=tries,
            ).answers
            whole = torch.cat([prompts.repeat_interleave(tries, dim=0), ends], dim=1)
            rewards = agreed(self.members, self.config, whole[:, :begin], whole[:, begin:], self.language.end)
            rewards = rewards.view(-1, tries)
            if isinstance(self.language, Letters):
                named = self.language.read(ends.numpy()).reshape(-1, tries)
            else:
                named = ends[:, 0].numpy().reshape(-1, tries)
                legal = np.take_along_axis(positions.legal[rows.numpy()], named, axis=1)
                rewards = rewards.masked_fill(torch.from_numpy(legal == 0), -torch.inf)
            actions[rows.numpy()] = named[np.arange(len(rows)), rewards.argmax(dim=1).numpy()]
        return actions


def learned_reward(spec: str, world: World, language: Language, device: str) -> Reward:
    """The reward r(x, y) [B] that ``spec`` names, for float32 on ``device``: a saved reward model, or a weighted sum
    of several, NAME*0.7+NAME*0.3. Raises UserError where one is none, or is of another world or other letters."""
    parts: list[tuple[float, nn.ModuleList, RewardConfig]] = []
    for part in spec.split("+"):
        name, star, number = part.partition("*")
        try:
            weight = float(number) if star else 1.0
        except ValueError:
            weight = math.nan
        if not math.isfinite(weight):
            raise UserError(f"reward={spec}: {number!r} is no weight; a weighted sum is NAME*0.7+NAME*0.3")
        try:
            agent = make_agent(name, world)
        except UserError as error:
            raise type(error)(f"reward={spec}: {error}") from error
        if not isinstance(agent, RewardAgent):
            raise UserError(f"reward={spec}: {name} is no reward model; train one: elodrome train reward_model")
        theirs, ours = agent.language.weights(), language.weights()
        if not all(np.array_equal(theirs[key], ours[key]) for key in ours):
            raise UserError(f"reward={spec}: {name} reads other letters than these; train it anew")
        parts.append((weight, agent.members.to(device, torch.float32), agent.config))

    @torch.no_grad()
    def reward(prompts: Tensor, answers: Tensor) -> Tensor:
        told = [weight * agreed(members, config, prompts, answers, language.end) for weight, members, config in parts]
        return torch.stack(told).sum(dim=0)

    return reward
