"""The maximisation bias of deep Q-networks, on a world whose action values are known (notes 2.6.6, eq. 2.66)."""

import numpy as np
import torch

from elodrome.agents.agent import Budget, Task
from elodrome.agents.registry import make_learner
from elodrome.envs.information import InformationStates
from elodrome.envs.registry import make_env

TRUTH = -0.1  # of the door to the room: whatever is done there costs 0.1 in the mean, with a deviation of 1
FORGETTING = {"capacity": 64, "rate": 3e-2, "target_every": 150}  # values are noisy, and the target's noise is another
SETTINGS = {
    **FORGETTING, "hidden": [16], "envs": 8, "batch": 16, "warmup": 32, "discount": 1.0, "anneal": False,
    "epsilon": 1.0, "epsilon_end": 1.0,
}  # fmt: skip


def believed(kind: str) -> float:
    """What the left door is taken to be worth, in the mean over seeds and time."""
    world = make_env("doors")
    states = InformationStates.of(world)
    seen = torch.from_numpy(states.observations.reshape(-1, *world.observation_shape))
    start, found = states.info[states.tables.starts[0]], []
    for seed in range(5):
        learner = make_learner(kind, Task(world, seed), SETTINGS)
        for report in learner.learn(Budget(7_000)):
            if report.step > 2_000:
                with torch.no_grad():
                    found.append(float(learner.net(seen)[start, 0]) * learner.scale)
    return float(np.mean(found))


def test_double_dqn_overestimates_less() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    plain, double = believed("dqn"), believed("double_dqn")
    torch.set_num_threads(before)
    assert plain > TRUTH + 0.15
    assert TRUTH - 0.05 < double < plain - 0.05
