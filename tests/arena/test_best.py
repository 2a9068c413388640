"""Where learning is unsteady, what is saved is the best of the agents on the way, and a stopped run knows it."""

import numpy as np
import pytest

from elodrome.agents.agent import Agent, Budget, Learner, Progress, Task
from elodrome.agents.parts.saved import CARD, load_agent, read_card
from elodrome.arena.best import EPISODES, LOOKS, ROUNDS, Best, solo_returns
from elodrome.arena.training import train
from elodrome.envs.registry import make_env
from elodrome.seeding import derive

CORRIDOR = "gridworld:map=S..G,max_steps=10"  # right three times: -3 at best, -10 without end


class Walker(Agent):
    """Walks right with the given share of its steps, by quantiles of its position's seed."""

    def __init__(self, world, right):
        super().__init__(world, None)
        self.right = right

    def act(self, positions):
        east = next(a for a in range(self.world.actions) if self.world.action_name(a) in ("right", "east"))
        west = next(a for a in range(self.world.actions) if self.world.action_name(a) in ("left", "west"))
        return np.where((positions.seeds >> np.uint64(11)).astype(float) * 2.0**-53 < self.right, east, west)


class Wavering(Learner):
    """Is best, and equally so, from step 200 to step 600."""

    unsteady = True

    def learn(self, budget):
        for self.step in range(1, budget.steps + 1):
            self.right = min(1.0, 1.2 - abs(self.step - 400) / 1000)
            yield Progress(self.step)

    @property
    def agent(self):
        return self.restore(self.world, self.config, self.weights())

    def weights(self):
        return {"right": np.array(self.right), "step": np.array(self.step)}

    @classmethod
    def restore(cls, world, config, weights):
        return Walker(world, float(weights["right"]))

    def snapshot(self):
        return self.weights()

    def resume(self, snapshot):
        self.right, self.step = float(snapshot["right"]), int(snapshot["step"])


def test_returns_are_those_of_the_world():
    world = make_env(CORRIDOR)
    returns, decisions = solo_returns(world, Walker(world, 1.0), 4, 0)
    assert returns.tolist() == [-2.0] * 4
    assert decisions == 12
    returns, decisions = solo_returns(world, Walker(world, 0.0), 4, 0)
    assert returns.tolist() == [-10.0] * 4
    assert decisions == 40


def test_the_best_is_kept_and_a_resumed_one_goes_on():
    learner = Wavering(Task(make_env(CORRIDOR), 0))
    best, before, looks, scores = Best(learner, 1000), 0, [], {}
    for progress in learner.learn(Budget(1000)):
        if best.due(before, progress.step):
            scores[progress.step] = best.look(progress.step)["return/agent"]
            looks.append(progress.step)
        if progress.step == 400:
            twin = Best(learner, 1000)
            twin.resume(best.snapshot())
            assert (twin.score, twin.step, twin.spent) == (best.score, best.step, best.spent)
            assert twin.weights.keys() == best.weights.keys()
        before = progress.step
    assert looks[-1] == 1000
    assert len(looks) <= LOOKS
    assert best.score == max(scores.values())
    assert best.step > 400
    assert best.step == max(step for step, score in scores.items() if score == best.score)
    assert int(best.weights["step"]) == best.step
    assert best.notes == {"best": {"step": best.step, "return": round(best.score, 3)}}


def test_looks_cost_no_more_than_learning():
    learner = Wavering(Task(make_env(CORRIDOR), 0))
    best = Best(learner, 100)
    best.spent = 51
    assert not best.due(49, 50)
    assert best.due(54, 55)
    assert best.due(99, 100)
    assert not best.due(55, 56)  # no twentieth has passed


@pytest.mark.parametrize(
    ("world", "right", "total", "rounds"),
    [
        ("gridworld:map=lake", 1.0, 10**6, ROUNDS),
        ("gridworld:map=lake", 1.0, 1, 1),  # as long as learning takes from look to look, but ten episodes
        (CORRIDOR, 1.0, 10**6, 1),  # the same ten times: there is nothing left to learn
        (CORRIDOR, 0.5, 1500, 2),  # 30 to 100 decisions a round, of the 75 between two looks
    ],
)
def test_a_look_is_longer_where_chance_has_a_say(world, right, total, rounds):
    learner = Wavering(Task(make_env(world), 5))
    learner.right, learner.step = right, 0
    best = Best(learner, total)
    seeds = [derive(5, "best"), *(derive(5, "best", number) for number in range(1, rounds))]
    played = [solo_returns(learner.world, learner.agent, EPISODES, seed) for seed in seeds]
    score = np.concatenate([returns for returns, _ in played]).mean()
    assert best.look(total) == {"return/agent": score, "return/best": score}
    assert best.spent == sum(decisions for _, decisions in played)


@pytest.mark.parametrize("best", [True, False])
def test_training_saves_the_best(tmp_path, best):
    world = make_env("gymnasium:CartPole-v1")
    options = {"envs": 4, "warmup": 50, "hidden": [64], "updates": 2, "batch": 32, "rate": 5e-3}  # too fast to last
    result = train(
        "dqn", world, steps=3000, seed=1, options=options, out=tmp_path / "run", best=best, tensorboard=False
    )
    assert ("return/best" in result.metrics) == best
    card = read_card(tmp_path / "run")
    assert card.notes.get("best", {}).get("return") == (
        pytest.approx(result.metrics["return/best"], abs=1e-3) if best else None
    )
    if best:
        agent = load_agent(tmp_path / "run", world)
        again, _ = solo_returns(world, agent, EPISODES, derive(1, "best"))
        assert again.mean() == result.metrics["return/best"]
        assert result.metrics["return/agent"] < result.metrics["return/best"]
        assert "the best on the way" in result.remarks[0]
    assert (tmp_path / "run" / CARD).is_file()
