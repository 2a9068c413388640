"""Worlds without tables: rows are given as things are met, and what is learned is what tables would have taught."""

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elodrome.agents.agent import Budget, Task
from elodrome.agents.check import check_agent, sample_positions
from elodrome.agents.parts import met
from elodrome.agents.parts.met import Met
from elodrome.agents.parts.tabular import Seen, TabularLearner
from elodrome.agents.registry import make_learner
from elodrome.agents.specs import builtin, unfit
from elodrome.envs.game import Game, World, rule
from elodrome.envs.index import RowIndex
from elodrome.envs.information import keys_of
from elodrome.envs.registry import make_env
from elodrome.envs.table import Table
from elodrome.errors import UserError

KINDS = sorted(name for name, kind in builtin().items() if kind.about.needs == ("few",))


@dataclass(frozen=True, kw_only=True)
class Closed(World):
    """One of our worlds that tells nothing: a table to play at, and no more."""

    inner: Game = field(compare=False)

    def table(self, games: int) -> Table:
        return self.inner.table(games)


def closed(name: str) -> tuple[Game, Closed]:
    game = make_env(name)
    assert isinstance(game, Game)
    return game, Closed(
        id="closed", players=game.players, actions=game.actions, observation_shape=game.observation_shape,
        max_steps=game.max_steps, information="imperfect", discount=game.discount, inner=game,
    )  # fmt: skip


def test_all_learners_take_any_world_of_few_things() -> None:
    assert len(KINDS) == 13


# No dice: what is drawn on the way is the same with tables and without. The second is cut off most of the time.
@pytest.mark.parametrize(
    "name", ["gridworld:map=cliff,max_steps=60", "gridworld:map=S.T/.../..G,discount=0.9,max_steps=6", "tic_tac_toe"]
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tells_limit", [True, False])
def test_the_same_is_learned_with_tables_and_without(kind: str, name: str, tells_limit: bool) -> None:
    game, world = closed(name)
    if not tells_limit:  # it is cut off before the limit that it tells
        world = replace(world, max_steps=10 * world.max_steps)
    learners: list[Any] = [make_learner(kind, Task(w, 7), {}) for w in (game, world)]
    for learner in learners:
        list(learner.learn(Budget(6000)))
    by_tables, by_rows = (learner.weights() for learner in learners)
    assert isinstance(learners[1].states, Met)
    seen = [keys_of(w["seats"], w["observations"], np.zeros_like(w["legal"])) for w in (by_tables, by_rows)]
    found = RowIndex(seen[0]).find(seen[1])
    assert (found >= 0).all()
    for name in by_rows.keys() - {"observations", "seats", "legal"}:
        assert np.array_equal(by_rows[name], by_tables[name][found]), name
    never = np.setdiff1d(np.arange(len(by_tables["seats"])), found)
    if "q" in by_rows and kind != "double_q_learning":
        assert not by_tables["q"][never].any()


@pytest.mark.parametrize(
    "kind", ["q_learning", "sarsa_lambda", "double_q_learning", "n_step_sarsa", "monte_carlo_control", "td"]
)
@pytest.mark.parametrize(
    "name",
    [
        *("gymnasium:Blackjack-v1", "open_spiel:kuhn_poker", "open_spiel:leduc_poker"),
        "pettingzoo:classic/tictactoe_v3",
    ],
)
def test_conformance(kind: str, name: str) -> None:
    assert check_agent(kind, make_env(name)) == []


@rule.reset
def alike_reset(state: Any, chance: int) -> None:
    state[0] = chance


@rule.player
def alike_player(state: Any) -> int:
    return -1 if state[0] == 4 else 0


@rule.legal
def alike_legal(state: Any, mask: Any) -> None:
    for a in range(3):
        mask[a] = state[0] < 4 and state[0] % 3 != a


@rule.step
def alike_step(state: Any, action: int, chance: int, rewards: Any) -> None:
    rewards[0] = 10.0 * state[0] + action
    state[0] = 4


@rule.observe
def alike_observe(state: Any, seat: int, out: Any) -> None:
    out[0] = 1.0


@rule.chance
def alike_chance(state: Any, action: int, probs: Any) -> int:
    for k in range(3):
        probs[k] = 1.0 / 3.0
    return 3 if action < 0 else 1


ALIKE = Game(
    id="alike", players=1, actions=3, observation_shape=(1,), max_steps=2, state_words=1, outcomes=3,
    reset=alike_reset, player=alike_player, legal=alike_legal, step=alike_step, observe=alike_observe,
    chance=alike_chance, information="imperfect", return_range=(0.0, 30.0),
)  # fmt: skip


@pytest.mark.parametrize("tells", [True, False])
def test_what_looks_the_same_is_not_where_other_actions_are_legal(tells: bool) -> None:
    """Three starts that look alike; in the k-th all but action k is legal, and a pays 10 k + a."""
    world: World = ALIKE
    if not tells:
        world = Closed(
            id="closed", players=1, actions=3, observation_shape=(1,), max_steps=2, information="imperfect",
            inner=ALIKE,
        )  # fmt: skip
    learner: Any = make_learner("q_learning", Task(world, 1), {"alpha": 1.0, "epsilon": 1.0})
    list(learner.learn(Budget(300)))
    weights = learner.weights()
    learned = {tuple(legal): tuple(q) for legal, q in zip(weights["legal"], weights["q"], strict=True)}
    assert learned == {(0, 1, 1): (0, 1, 2), (1, 0, 1): (10, 0, 12), (1, 1, 0): (20, 21, 0)}
    positions = sample_positions(world, 50, 0)
    assert learner.agent.act(positions).tolist() == [2 - (not legal[2]) for legal in positions.legal]
    assert check_agent("q_learning", world) == []


def test_rows_grow_beyond_their_room() -> None:
    learner: Any = make_learner("q_learning", Task(make_env("open_spiel:tic_tac_toe"), 1), {"epsilon": 1.0})
    list(learner.learn(Budget(5000)))
    assert len(learner.states.seats) > 512
    assert len(learner.run.q) >= len(learner.states.seats)
    assert len(learner.weights()["q"]) == len(learner.states.seats)
    keys = keys_of(*(learner.weights()[name] for name in Seen._fields))
    assert len(np.unique(keys, axis=0)) == len(keys)


def test_more_than_a_table_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(met, "MOST", 50)
    learner = make_learner("q_learning", Task(make_env("gymnasium:Blackjack-v1")), {})
    with pytest.raises(UserError, match="more than 50 different things were seen, too many for a table; let a network"):
        list(learner.learn(Budget(50_000)))


@pytest.mark.parametrize("error", [UserError("the world broke"), KeyboardInterrupt()])
def test_what_goes_wrong_behind_the_door_comes_out(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    _, world = closed("cliff_walking")
    learner: Any = make_learner("sarsa", Task(world), {})
    list(learner.learn(Budget(1000)))
    calls = 0

    def broken(rows: Any, actions: Any) -> Any:
        nonlocal calls
        calls += 1
        raise error

    monkeypatch.setattr(learner.states._table, "step", broken)
    with pytest.raises(type(error)):
        list(learner.learn(Budget(2000)))
    assert calls == 1


def test_reasons_are_true() -> None:
    about = builtin()["q_learning"].about
    assert unfit(about, make_env("gymnasium:FrozenLake-v1")) is None
    assert unfit(about, make_env("gymnasium:CartPole-v1")) == (
        "needs a world in which the same is seen again; this one shows real numbers"
    )
    assert unfit(about, make_env("connect_four")) == "needs a world of at most 20000 states"
    plan = builtin()["value_iteration"].about
    assert unfit(plan, make_env("gymnasium:FrozenLake-v1")) is None
    assert unfit(plan, make_env("gymnasium:Blackjack-v1")) == "needs a world that tells its transitions"


CARDS = [(card, 1 / 13) for card in range(1, 10)] + [(10, 4 / 13)]


@cache
def dealt(total: int, ace: bool) -> dict[int, float]:
    """How the dealer ends who has ``total``, an ace counted as 11 where ``ace``; 0 where he goes bust."""
    if total >= 17:
        return {total if total <= 21 else 0: 1.0}
    ends: dict[int, float] = {}
    for card, p in CARDS:
        for end, share in dealt(*_hit(total, ace, card)).items():
            ends[end] = ends.get(end, 0.0) + p * share
    return ends


def _hit(total: int, ace: bool, card: int) -> tuple[int, bool]:
    total, ace = total + card, ace
    if card == 1 and total + 10 <= 21:
        return total + 10, True
    return (total - 10, False) if total > 21 and ace else (total, ace)


@cache
def stick_on_20(total: int, dealer: int, ace: bool) -> float:
    """The exact value of Sutton & Barto's example 5.1: hit below 20, cards from an endless deck."""
    if total >= 20:
        ends = dealt(*((11, True) if dealer == 1 else (dealer, False)))
        return sum(p * (np.sign(total - end) if end else 1.0) for end, p in ends.items())
    value = 0.0
    for card, p in CARDS:
        after, soft = _hit(total, ace, card)
        value += p * (-1.0 if after > 21 else stick_on_20(after, dealer, soft))
    return value


def test_blackjack_is_worth_what_is_known(tmp_path: Path) -> None:
    assert stick_on_20(13, 2, True) == pytest.approx(-0.27726, abs=0.002)  # published, from 100 million games
    file = tmp_path / "stick.py"
    file.write_text(
        "import numpy as np\n"
        "from elodrome.agents.agent import Agent, Evaluation\n\n"
        "class Stick(Agent):\n"
        "    def choose(self, position):\n        return int(position.observation[:32].argmax() < 20)\n\n"
        "    def evaluate(self, positions):\n"
        "        hit = positions.observations[:, :32].argmax(axis=1) < 20\n"
        "        return Evaluation(np.stack([~hit, hit], axis=1).astype(float))\n"
    )
    world = make_env("gymnasium:Blackjack-v1")
    learner: Any = make_learner("monte_carlo_prediction", Task(world, 5), {"policy": f"{file}:Stick"})
    list(learner.learn(Budget(30_000)))
    seen = learner.states.observations
    scores = []
    for row, learned in enumerate(learner.run.q[: len(seen), 0]):
        parts = np.flatnonzero(seen[row])
        total, dealer, ace = int(parts[0]), int(parts[1]) - 32, int(parts[2]) - 43
        n = learner.run.visits[row, 0]
        exact = stick_on_20(total, dealer, bool(ace))
        if n >= 30:
            scores.append((learned - exact) / np.sqrt(max(1 - exact**2, 0.02) / n))
    # A return is 1, 0 or -1: its variance is at most 1 - value squared.
    assert len(scores) > 100
    assert 0.4 < np.mean(np.square(scores)) < 1.3
    assert abs(np.mean(scores)) < 0.5


def test_a_learner_is_a_tabular_one() -> None:
    assert all(issubclass(builtin()[kind].load(), TabularLearner) for kind in KINDS)
