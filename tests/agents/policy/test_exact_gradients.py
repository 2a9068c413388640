"""What every learner of policies estimates, against the exact gradient of the same network on the same world.

The learners run as they are: they collect, judge and differentiate, and only the step is not theirs. A stand-in for the
optimiser notes the gradient that it is given, and leaves the parameters where they are, or moves them to another place
that is known. The exact gradient with respect to the logits of every state (``parts.exact``) goes through the network.

A case holds 100 batches of some thousands of decisions and 100 to 200 coordinates. |z| of a coordinate is over 5 with
probability 2.4e-6 (Student's t, 99 degrees of freedom), so that a right learner fails a case with another seed in less
than one in two thousand. Where there is a bias, it is over 10 somewhere. All rewards are 1 or -1, so that the scale
of rewards is 1.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from elodrome.agents.agent import Budget, Task
from elodrome.agents.ops import policy_gradient as pg
from elodrome.agents.parts.exact import Decisions
from elodrome.agents.policy import trpo
from elodrome.agents.policy.visits import from_here_on
from elodrome.agents.registry import make_learner
from elodrome.envs.game import Reals
from elodrome.envs.information import InformationStates
from elodrome.envs.registry import make_env
from elodrome.errors import UserError

MAP = "gridworld:map=S.T/..G,slip=0.2,step_reward=-1,goal_reward=1,trap_reward=-1"
BATCHES, UNBIASED, BIASED = 100, 5.0, 10.0
PLAIN = {"hidden": [12], "discount": 1.0, "entropy": 0.0, "anneal": False, "max_norm": 1e9}
EPISODES = {**PLAIN, "episodes": 256, "standardise": False}
ROLLOUTS = {**PLAIN, "envs": 128, "horizon": 32, "gae_lambda": 1.0}
SETTINGS: dict[str, dict[str, Any]] = {
    "reinforce": EPISODES,
    "off_policy_pg": {**EPISODES, "baseline": "constant"},
    "a2c": ROLLOUTS,
    "ppo": {**ROLLOUTS, "epochs": 1, "minibatch": 1024, "standardise": False},
    "ppo_kl": {**ROLLOUTS, "epochs": 1, "minibatch": 1024, "standardise": False},
    "trpo": {**ROLLOUTS, "value_epochs": 1, "search": 1, "standardise": False},
}
ASIDE = torch.tensor([0.0, 0.5, 0.2, -0.3])  # on the biases of the logits: another policy


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Standing:
    """In place of an optimiser: notes the gradients that it should follow, uphill, and goes round ``places`` in turn
    (each what is added to the last bias), which may be one."""

    def __init__(self, module: torch.nn.Module, actor: torch.nn.Module, places: list[Tensor]) -> None:
        self.param_groups: list[dict[str, Any]] = [{"params": list(module.parameters()), "lr": 0.0}]
        self.actor, self.places, self.noted = actor, places, list[Reals]()
        self.bias = list(actor.parameters())[-1]
        self.home = self.bias.detach().clone()

    def zero_grad(self) -> None:
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    def step(self) -> None:
        self.note([parameter.grad for parameter in self.actor.parameters() if parameter.grad is not None])

    def note(self, gradients: list[Tensor]) -> None:
        self.noted.append(-flat(gradients) if gradients else np.zeros(0))
        with torch.no_grad():
            self.bias.copy_(self.home + self.places[len(self.noted) % len(self.places)])


def flat(gradients: list[Tensor]) -> Reals:
    return torch.cat([g.flatten() for g in gradients]).double().numpy()


class Setting:
    """A learner that stands still, and all that can be known of its world and its policy."""

    def __init__(self, kind: str, **options: Any) -> None:
        shift = options.pop("aside", None)
        wrong = options.pop("wrong", 0.0)
        self.learner: Any = make_learner(kind, Task(make_env(MAP), 3), {**SETTINGS[kind], **options})
        self.net = self.learner.net
        self.states = InformationStates.of(self.learner.world)
        self.process = Decisions.of(self.states.tables, self.learner.discount)
        self.seen = torch.from_numpy(self.states.observations)
        with torch.no_grad():
            self.net.actor[-1].weight.mul_(100.0)  # a policy with opinions
        self.value = self.process.value(self.policy())
        self.set_critic(self.value, wrong)
        places = [torch.zeros(4)] + ([] if shift is None else [shift])
        self.actor = Standing(self.net, self.net.actor, places)
        for name in ("optimiser", "actor", "critic"):
            if hasattr(self.learner, name):
                module = {"actor": self.net.actor, "critic": self.net.critic}.get(name, self.net)
                stand = self.actor if name != "critic" else Standing(module, self.net.actor, places[:1])
                stand.param_groups[0]["params"] = list(module.parameters())
                setattr(self.learner, name, stand)

    def policy(self) -> Reals:
        """pi [S, A] as of now."""
        whole = 0.0 * self.process.legal
        with torch.no_grad():
            whole[self.states.first] = torch.softmax(self.net.outputs(self.seen).double(), -1)
        return whole

    def set_critic(self, value: Reals, wrong: float = 0.0) -> None:
        """Let the critic tell these values [S], each off by ``wrong`` times a number of its own."""
        wanted = value[self.states.first] + wrong * np.random.default_rng(5).normal(size=len(self.states.first))
        last = self.net.critic[-1]
        with torch.no_grad():
            features = self.net.critic[:-1](self.seen).double().numpy()
            last.bias.zero_()
            last.weight.copy_(torch.from_numpy(np.linalg.lstsq(features, wanted)[0]))
        told = self.net.value(self.seen).detach().numpy()
        assert told == pytest.approx(wanted, abs=1e-4)

    def through(self, slope: Reals) -> Reals:
        """From a gradient with respect to the logits [S, A] to one with respect to the actor's parameters."""
        told = torch.from_numpy(slope[self.states.first])
        gradient = torch.autograd.grad((self.net.outputs(self.seen).double() * told).sum(), self.net.actor.parameters())
        return flat(list(gradient))

    def at(self, aside: Tensor, what: Callable[[], Reals]) -> Reals:
        """``what()`` where the policy is that aside."""
        with torch.no_grad():
            self.actor.bias.add_(aside)
        found = what()
        with torch.no_grad():
            self.actor.bias.copy_(self.actor.home)
        return found

    def gradient(self) -> Reals:
        """Of J (3.1)."""
        return self.through(self.process.gradient(self.policy()))

    def decisions(self) -> float:
        """The decisions of an episode, in expectation: what a mean over decisions divides by."""
        ends = Decisions.of(self.states.tables, 1.0)
        return float(ends.visits(self.policy())[self.states.first].sum())

    def run(self, batches: int = BATCHES) -> list[Reals]:
        """Gradients noted, [batches, N] for each place: the means over the steps that a batch took there."""
        reports = []
        before = 0
        rounds = self.learner.learn(Budget(10**9))
        while len(reports) < batches + 2:
            next(rounds)
            reports.append(np.array(self.actor.noted[before:]))
            before = len(self.actor.noted)
        count = len(self.actor.places)
        # The first two hold what all games have just begun: later ones are as all others.
        return [np.array([report[place::count].mean(axis=0) for report in reports[2:]]) for place in range(count)]


def distance(sampled: Reals, wanted: Reals) -> float:
    """The largest |z| of all coordinates; those that nothing moves must agree."""
    error = sampled.mean(axis=0) - wanted
    spread = sampled.std(axis=0, ddof=1) / np.sqrt(len(sampled))
    assert np.abs(wanted).max() > 10 * spread.max()
    return float(np.abs(error / np.maximum(spread, 1e-7)).max())


@pytest.fixture(autouse=True)
def standing_trpo(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """TRPO asks for the direction of a gradient: the gradient is noted, and the direction is nowhere."""
    noted: list[Any] = []

    def nowhere(fisher: Any, gradient: Tensor, steps: int) -> Tensor:
        noted[0].note([-gradient])
        return torch.zeros_like(gradient)

    monkeypatch.setattr(trpo, "conjugate_gradient", nowhere)
    return noted


def setting(noted: list[Any], kind: str, **options: Any) -> Setting:
    made = Setting(kind, **options)
    noted.append(made.actor)
    return made


def best_baseline(made: Setting) -> Reals:
    """b* [S] of (3.34)."""
    policy = made.policy()
    q = made.process.action_value(made.value)
    weight = policy * (1 - 2 * policy + (policy**2).sum(axis=1, keepdims=True))
    return (weight * q).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-300)


def test_reinforce_is_without_bias_and_baselines_lower_its_variance(standing_trpo: list[Any]) -> None:
    """Theorems 3.2 and 3.4; whatever the baseline, as long as it knows nothing of the action (3.26)."""
    variance = {}
    for baseline, wrong in (("none", 0), ("constant", 0), ("value", 0), ("value", 5), ("optimal", 0)):
        made = setting(standing_trpo, "reinforce", baseline=baseline, wrong=wrong)
        if baseline == "optimal":
            made.set_critic(best_baseline(made))
        (sampled,) = made.run()
        assert distance(sampled, made.gradient()) < UNBIASED, (baseline, wrong)
        variance[baseline, wrong] = sampled.var(axis=0).sum()
    exact, least = variance["value", 0], variance["optimal", 0]
    assert least < 1.1 * exact
    assert max(exact, variance["constant", 0]) < 0.7 * variance["none", 0]
    assert variance["value", 5] > exact


@pytest.mark.parametrize("kind", ["a2c", "ppo", "ppo_kl", "trpo"])
@pytest.mark.parametrize("lambda_", [1.0, 0.6])
def test_batches_of_decisions_are_without_bias_where_the_critic_is_right(
    kind: str, lambda_: float, standing_trpo: list[Any]
) -> None:
    """Whatever lambda (3.58), and where a batch ends; per decision, of which an episode has its number in the mean. For
    PPO all of an epoch's minibatches, of which the first alone would meet the policy that played."""
    made = setting(standing_trpo, kind, gae_lambda=lambda_)
    (sampled,) = made.run()
    assert distance(sampled, made.gradient() / made.decisions()) < UNBIASED


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("reinforce", {"standardise": True}),
        ("reinforce", {"entropy": 1.0}),
        ("reinforce", {"discount": 0.8}),  # gamma^t is left out
        ("a2c", {"wrong": 1.0, "gae_lambda": 0.6}),
        ("a2c", {"wrong": 1.0, "gae_lambda": 0.0}),
        ("a2c", {"entropy": 1.0}),
        ("a2c", {"discount": 0.8}),
        ("ppo", {"wrong": 1.0, "gae_lambda": 0.6}),
        ("ppo", {"standardise": True}),
        ("ppo", {"entropy": 1.0}),
        ("ppo_kl", {"wrong": 1.0, "gae_lambda": 0.6}),
        ("trpo", {"wrong": 1.0, "gae_lambda": 0.6}),
        ("trpo", {"standardise": True}),
        ("trpo", {"entropy": 1.0}),
    ],
)
def test_where_theory_says_bias_there_is_one(kind: str, options: dict[str, Any], standing_trpo: list[Any]) -> None:
    made = setting(standing_trpo, kind, **options)
    (sampled,) = made.run()
    size = 1.0 if kind == "reinforce" else made.decisions()
    assert distance(sampled, made.gradient() / size) > BIASED
    if "entropy" in options:  # of J plus the bonus (3.74) in every decision it has none
        policy, visits = made.policy(), made.process.visits(made.policy())[:, None]
        logs = np.log(np.where(policy > 0, policy, 1.0))
        bonus = -visits * policy * (logs - (policy * logs).sum(axis=1, keepdims=True))
        assert distance(sampled, made.through(made.process.gradient(policy) + bonus) / size) < UNBIASED


def test_weights_by_state_need_a_world_that_shows_all_of_few_states() -> None:
    for world, words in (
        ("tic_tac_toe", "one seat; tic_tac_toe has 2"),
        ("gridworld:map=" + "/".join(["." * 23] * 23), "more than 500 states"),
        ("gymnasium:CartPole-v1", "cannot be enumerated"),
    ):
        with pytest.raises(UserError, match=words):
            make_learner("off_policy_pg", Task(make_env(world)), {"weights": "state"})


def test_sums_from_each_decision_on() -> None:
    x, episode = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]), torch.tensor([0, 1, 0, 1, 1])
    assert from_here_on(x, episode, torch.tensor([5.0, 26.0])).tolist() == [5.0, 26.0, 4.0, 24.0, 16.0]


@pytest.mark.parametrize(
    ("options", "biased"),
    [
        ({"weights": "none"}, True),
        ({"weights": "decision"}, True),
        ({"weights": "episode"}, False),
        ({"weights": "state"}, False),
        ({"weights": "episode", "discount": 0.8}, True),  # gamma^t is left out
        ({"weights": "state", "discount": 0.8}, False),
    ],
)
def test_importance_weights(options: dict[str, Any], biased: bool, standing_trpo: list[Any]) -> None:
    """The second pass over episodes that another policy has played (3.62): weights of single decisions (3.66) forget
    where that policy comes, and how it goes on; with its states (3.67) and what follows they forget nothing."""
    made = setting(standing_trpo, "off_policy_pg", passes=2, aside=ASIDE, **options)
    own, other = made.run()
    if made.learner.discount == 1.0:
        assert distance(own, made.gradient()) < UNBIASED
    z = distance(other, made.at(ASIDE, made.gradient))
    assert z > BIASED if biased else z < UNBIASED


def surrogate(made: Setting, old: Reals, beta: float = 0.0) -> Reals:
    """The gradient of ``L - beta KL`` with respect to the policy as of now, of decisions of ``old`` (3.69, 3.73)."""
    new, advantage = made.policy(), made.process.advantage(old)
    gain = new * (advantage - (new * advantage).sum(axis=1, keepdims=True))
    ends = Decisions.of(made.states.tables, 1.0)
    visits = ends.visits(old)
    visits = visits / visits[made.states.first].sum()
    return made.through(visits[:, None] * (gain - beta * (new - old)))


@pytest.mark.parametrize(
    ("kind", "options", "biased"),
    [
        ("ppo", {"clip": 1e6}, False),
        ("ppo", {"clip": 0.1}, True),
        ("ppo_kl", {"beta": 50.0, "target_kl": 1e6}, False),
    ],
)
def test_steps_away_from_the_policy_that_played_follow_the_surrogate(
    kind: str, options: dict[str, Any], biased: bool, standing_trpo: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that are cut off do not; and nobody's surrogate is J."""
    monkeypatch.setattr(pg, "adapted_penalty", lambda beta, kl, target: beta)
    made = setting(standing_trpo, kind, aside=ASIDE, **options)
    old, beta = made.policy(), options.get("beta", 0.0)
    own, other = made.run()
    assert distance(own, made.gradient() / made.decisions()) < UNBIASED
    z = distance(other, made.at(ASIDE, lambda: surrogate(made, old, beta)))
    assert z > BIASED if biased else z < UNBIASED
    assert distance(other, made.at(ASIDE, made.gradient) / made.decisions()) > BIASED
