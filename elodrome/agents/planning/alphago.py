"""AlphaGo: imitation, policy gradient, a value network, and a search that mixes it with playouts (notes 4.5.2, figure
4.7; Silver et al. 2016).

Three networks are trained one after the other. p_sigma imitates the games of an expert (people's games there, those of
another agent here). p_rho begins as p_sigma and learns by REINFORCE from games against its own past. v_theta learns to
tell who wins games of p_rho. The search takes its priors from p_sigma, which AlphaGo's authors found better at that
than p_rho, and judges leaves by (1 - lambda) v_theta(s) + lambda z, with z the end of one random playout.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from elodrome.agents.agent import Agent, Budget, Ints, Positions, Progress, Task
from elodrome.agents.ops import policy_gradient as pg
from elodrome.agents.ops.search import cross_entropy
from elodrome.agents.parts.deep import annealed, require_finite
from elodrome.agents.parts.kept import KeptLearner
from elodrome.agents.parts.networks import Arrays, descend, load_module, module_arrays, seeded
from elodrome.agents.parts.opponents import Past, stranger
from elodrome.agents.registry import make_agent
from elodrome.agents.search.agent import SearchAgent
from elodrome.agents.search.boardnet import BoardNet, NetEvaluator
from elodrome.agents.search.forest import SearchConfig
from elodrome.agents.search.games import Choose, Played, play_games, sampler
from elodrome.agents.search.playouts import MixedEvaluator
from elodrome.agents.search.selfplay import Examples, Window
from elodrome.envs.game import Game, World
from elodrome.errors import UserError
from elodrome.seeding import derive, generator

ABOUT = {
    "cls": "AlphaGo",
    "chapter": "4",
    "summary": "imitation, policy gradient and a value network; search with playouts",
    "players": (2, 2),
    "needs": ("state", "perfect", "zero_sum", "deterministic"),
}
NETS = ("imitation", "policy", "value")


class AlphaGoConfig(SearchConfig):
    """simulations: when the trained agent acts; 0 plays the prior alone: its most probable action or, where ``greedy``
    is off, one drawn from it, as REINFORCE trains it. prior: whose policy guides the search, p_sigma ("imitation"),
    p_rho ("policy") or none. mix: lambda, the share of the playout in a leaf's value. expert: spec of the agent that is
    imitated. imitate, reinforce: shares of the budget that go to p_sigma and p_rho; the rest goes to v_theta. channels,
    blocks, hidden: of each network, see ``BoardNet``. games: played in one iteration, each begun with 0 to ``opening``
    uniformly random plies. batch, reuse: of the regressions; how often a position is learned from. window: positions
    kept for that. rate: of the regressions; gradient_rate: of REINFORCE. opponent: whom it meets there: "past" or
    "prioritised", its former selves, the second above all those of whom it wins little, "self", or any agent's spec.
    past: former selves remembered, one every ``past_every`` iterations of it."""

    simulations: int = Field(100, ge=0, le=1_000_000)
    greedy: bool = True
    prior: Literal["imitation", "policy", "none"] = "imitation"
    mix: float = Field(0.5, ge=0.0, le=1.0)
    expert: str = "mcts:simulations=100"
    imitate: float = Field(0.4, gt=0.0, lt=1.0)
    reinforce: float = Field(0.3, ge=0.0, lt=1.0)
    channels: int = Field(32, ge=1)
    blocks: int = Field(0, ge=0)
    hidden: tuple[int, ...] = Field((128, 128), min_length=1)
    games: int = Field(64, ge=2)
    opening: int = Field(4, ge=0)
    batch: int = Field(256, ge=2)
    reuse: float = Field(4.0, gt=0.0)
    window: int = Field(50_000, ge=1)
    rate: float = Field(2e-3, gt=0.0)
    gradient_rate: float = Field(1e-3, gt=0.0)
    opponent: str = "past"
    past: int = Field(16, ge=1)
    past_every: int = Field(5, ge=1)


class AlphaGo(KeptLearner):
    """Learns in three stages; a position is one decision of a game that was played for any of them."""

    KEEPS = ("nets", "optimisers", "windows", "past", "steps", "rounds")
    config_class = AlphaGoConfig
    unit = "positions"
    default_steps = 200_000
    config: AlphaGoConfig
    world: Game

    def __init__(self, task: Task, config: AlphaGoConfig | None = None) -> None:
        super().__init__(task, config)
        c = self.config
        if c.imitate + c.reinforce >= 1.0:
            raise UserError(f"imitate={c.imitate} and reinforce={c.reinforce} leave nothing for the value network")
        self.steps = 0
        self.expert = make_agent(c.expert, self.world)
        self.nets: dict[str, BoardNet] = {
            name: seeded(derive(task.seed, name), BoardNet, self.world, c.channels, c.blocks, c.hidden).to(task.device)
            for name in NETS
        }
        rates = {"imitation": c.rate, "policy": c.gradient_rate, "value": c.rate}
        self.optimisers = {
            name: torch.optim.AdamW(net.parameters(), lr=rates[name], weight_decay=1e-4)
            for name, net in self.nets.items()
        }
        self.windows = {name: Window(self.world, c.window) for name in ("imitation", "value")}
        self.past = Past(self.nets["policy"], c.past, prioritised=c.opponent == "prioritised")
        self.other = stranger(c.opponent, self.world, ("past", "prioritised", "self"))
        self.rounds = 0  # iterations of REINFORCE

    def learn(self, budget: Budget) -> Iterator[Progress]:
        c = self.config
        first, second = c.imitate * budget.steps, (c.imitate + c.reinforce) * budget.steps
        while self.steps < budget.steps:
            rng = generator(self.task.seed, "iteration", self.steps)
            if self.steps < first:
                played = self._play(self.expert.act)
                annealed(self.optimisers["imitation"], c.rate, self.steps, first)
                metrics = {"loss/imitation": self._regress("imitation", played, rng)}
            elif self.steps < second:
                played, metrics = self._reinforce(rng)
            else:
                played = self._play(sampler(self.nets["policy"], self.task.device))
                annealed(self.optimisers["value"], c.rate, self.steps - second, budget.steps - second)
                metrics = {"loss/value": self._regress("value", played, rng)}
            self.steps += len(played.actions)
            require_finite(self.steps, metrics)
            yield Progress(self.steps, metrics)

    def _play(self, choose: Choose) -> Played:
        seed = derive(self.task.seed, "games", self.steps)
        return play_games(self.world, self.config.games, seed, self.config.opening, choose)

    def _regress(self, name: str, played: Played, rng: np.random.Generator) -> float:
        """Teach a network the actions or the outcomes of games, on positions of the window; the mean loss."""
        c, net, optimiser, window = self.config, self.nets[name], self.optimisers[name], self.windows[name]
        done = np.eye(self.world.actions, dtype=np.float32)[played.actions]
        window.add(Examples(played.observations, done, played.outcome, np.zeros_like(played.outcome)))
        net.train()
        losses = []
        for _ in range(max(1, round(len(played.actions) * c.reuse / c.batch))):
            arrays = window.sample(c.batch, rng)
            seen, policy, outcome, _ = (torch.from_numpy(array).to(self.task.device) for array in arrays)
            logits, expected = net(seen)
            loss = (
                cross_entropy(logits, policy).mean()
                if name == "imitation"
                else pg.value_loss(expected, outcome / net.reach)
            )
            descend(optimiser, loss)
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def _reinforce(self, rng: np.random.Generator) -> tuple[Played, dict[str, float]]:
        """One iteration of REINFORCE: games against an opponent, half of them in each seat, and one step along
        z grad ln p_rho(a | s), its mean subtracted from z."""
        c, net = self.config, self.nets["policy"]
        if self.rounds == 0:
            load_module(net, module_arrays(self.nets["imitation"]))
        if self.rounds % c.past_every == 0:
            self.past.note()
        self.rounds += 1
        own = sampler(net, self.task.device)
        number = -1 if self.other or c.opponent == "self" else self.past.draw(rng)
        other = self.other or (own if number < 0 else sampler(self.past.rival(number), self.task.device))

        def choose(positions: Positions) -> Ints:
            mine = positions.games % 2 == positions.seats
            return np.where(mine, own(positions), other(positions))

        played = self._play(choose)
        mine = np.flatnonzero(played.games % 2 == played.seats)
        seen, actions = torch.from_numpy(played.observations[mine]), torch.from_numpy(played.actions[mine])
        legal, outcome = torch.from_numpy(played.legal[mine] > 0), torch.from_numpy(played.outcome[mine])
        device = self.task.device
        net.eval()  # the statistics of normalisation stay those of imitation
        logits, _ = net(seen.to(device))
        log_prob = pg.taken(pg.masked_log_probs(logits, legal.to(device)), actions.to(device))
        loss = pg.policy_gradient_loss(log_prob, (outcome - outcome.mean()).to(device))
        descend(self.optimisers["policy"], loss)
        last = np.unique(played.games[mine], return_index=True)[1]
        gained = played.outcome[mine][last].astype(np.float64)
        if number >= 0:
            self.past.tell(np.full(len(gained), number), gained)
        return played, {"return against the past": float(played.outcome[mine][last].mean())}

    def weights(self) -> Arrays:
        """All three networks; p_rho is p_sigma as long as it has not learned."""
        nets = self.nets if self.rounds else {**self.nets, "policy": self.nets["imitation"]}
        return {key: array for name in NETS for key, array in module_arrays(nets[name], f"{name}/").items()}

    @classmethod
    def restore(cls, world: World, config: Any, weights: Arrays) -> Agent:
        nets = {name: seeded(0, BoardNet, world, config.channels, config.blocks, config.hidden) for name in NETS}
        for name, net in nets.items():
            load_module(net, weights, f"{name}/")
        judges = {name: NetEvaluator(net) for name, net in nets.items()}
        evaluate = MixedEvaluator(world, judges.get(config.prior), judges["value"], config.mix)  # type: ignore[arg-type]
        reflex = judges.get(config.prior, judges["policy"])
        return SearchAgent(world, config, reflex, evaluate, draws=not config.greedy)  # type: ignore[arg-type]
