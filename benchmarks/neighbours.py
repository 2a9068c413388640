"""The doors that other libraries come in by, each tried with the library itself: pass or fail.

Stable-Baselines3, TorchRL, shimmy and Gymnasium's and PettingZoo's own suites probe, pickle, copy and register in ways
of their own. They are installed into an environment beside this one, kept in a cache folder for the next run.

    python benchmarks/neighbours.py      (the first run downloads torch and the libraries: a few minutes)

Prints a table and a JSON line; the exit code is 1 where a door is shut.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _peers import REPOSITORY, environment

PEERS = ["stable-baselines3", "torchrl", "shimmy[openspiel]"]
SECONDS = 300  # for one door

# Each door is a program of its own, so that what one library imports or breaks does not help or hurt the next.
DOORS = {
    "stable-baselines3: DQN with a string id": """
from stable_baselines3 import DQN
model = DQN("MlpPolicy", "elodrome:cliff_walking", learning_starts=50, buffer_size=1000)
model.learn(200)
assert model.num_timesteps >= 200""",
    "stable-baselines3: make_vec_env": """
from stable_baselines3.common.env_util import make_vec_env
env = make_vec_env("elodrome:cliff_walking", n_envs=2)
assert env.reset().shape == (2, 48)""",
    "stable-baselines3: SubprocVecEnv, spawned": """
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv
if __name__ == "__main__":
    env = make_vec_env("elodrome:cliff_walking", 2, vec_env_cls=SubprocVecEnv, vec_env_kwargs={"start_method": "spawn"})
    assert env.reset().shape == (2, 48)
    env.close()""",
    "stable-baselines3: check_env": """
from stable_baselines3.common.env_checker import check_env
from elodrome.envs.adapters.gymnasium import GymnasiumEnv
check_env(GymnasiumEnv("cliff_walking"))""",
    "torchrl: GymEnv(id)": """
from torchrl.envs.libs.gym import GymEnv
assert GymEnv("elodrome:cliff_walking").rollout(5).batch_size[0] == 5""",
    "torchrl: PettingZooEnv's wrapper": """
from torchrl.envs.libs.pettingzoo import PettingZooWrapper
from elodrome.envs.adapters.pettingzoo import parallel_env
env = PettingZooWrapper(parallel_env("rock_paper_scissors"), use_mask=True)
assert env.rollout(1).batch_size[0] == 1""",
    "shimmy: an OpenSpiel game by name": """
from elodrome.envs.adapters import spiel
from shimmy import OpenSpielCompatibilityV0
env = OpenSpielCompatibilityV0(game_name="elodrome_tic_tac_toe")
env.reset(seed=0)
while env.agents:
    env.step(int(env.infos[env.agent_selection]["action_mask"].argmax()) if not any(
        (env.terminations[env.agent_selection], env.truncations[env.agent_selection])) else None)""",
    "OpenSpiel: random_sim_test with serialisation": """
import pyspiel
from elodrome.envs.adapters import spiel
for name in ("elodrome_tic_tac_toe", "elodrome_connect_four", "elodrome_token_mdp", "elodrome(world=go:size%3D5)"):
    pyspiel.random_sim_test(pyspiel.load_game(name), num_sims=2, serialize=True, verbose=False)""",
    "OpenSpiel: its MCTSBot": """
import numpy as np, pyspiel
from open_spiel.python.algorithms import mcts
from elodrome.envs.adapters import spiel
game, rng = pyspiel.load_game("elodrome_tic_tac_toe"), np.random.RandomState(0)
bot = mcts.MCTSBot(game, 2.0, 200, mcts.RandomRolloutEvaluator(2, rng), random_state=rng)
assert bot.step(game.new_initial_state()) in range(9)""",
    "Gymnasium: find_spec, then make": """
import elodrome
from importlib.util import find_spec
find_spec("gymnasium"), find_spec("gymnasium")
import gymnasium
gymnasium.make("elodrome:cliff_walking").reset(seed=0)""",
    "Gymnasium: check_env": """
import gymnasium
from gymnasium.utils.env_checker import check_env
check_env(gymnasium.make("elodrome:cliff_walking", render_mode="ansi").unwrapped)""",
    "Gymnasium: make_vec, async": """
import gymnasium
env = gymnasium.make_vec("elodrome:cliff_walking", num_envs=2, vectorization_mode="async")
assert env.reset(seed=0)[0].shape == (2, 48)
env.close()""",
    "PettingZoo: api_test, seed_test": """
from pettingzoo.test import api_test, seed_test
from elodrome.envs.adapters.pettingzoo import aec_env
api_test(aec_env("tic_tac_toe"), num_cycles=100)
seed_test(lambda: aec_env("tic_tac_toe"), num_cycles=20)""",
    "PettingZoo: parallel_api_test": """
from pettingzoo.test import parallel_api_test
from elodrome.envs.adapters.pettingzoo import parallel_env
parallel_api_test(parallel_env("rock_paper_scissors:rounds=5"), num_cycles=50)""",
    "pickle and deepcopy": """
import copy, pickle
from elodrome import make_env
from elodrome.envs.adapters.gymnasium import GymnasiumEnv
from elodrome.envs.adapters.pettingzoo import aec_env, parallel_env
for env in (GymnasiumEnv("gridworld:map=maze"), aec_env("connect_four"), parallel_env("rock_paper_scissors")):
    env.reset(seed=0)
    pickle.loads(pickle.dumps(env)), copy.deepcopy(env)
for name in ("go:size=5", "open_spiel:kuhn_poker", "gymnasium:CartPole-v1"):
    assert pickle.loads(pickle.dumps(make_env(name))) == make_env(name)""",
}


def attempt(python: Path, program: str) -> str:
    """ "" where the program ends well, else the last thing it said."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "door.py"  # a file, because spawned processes read it again
        file.write_text(program.strip() + "\n")
        try:
            done = subprocess.run(
                [str(python), str(file)],
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), "ELODROME_HOME": folder, "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"no answer in {SECONDS} s"
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def main() -> None:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "elodrome-neighbours"
    python = environment(Path(sys.argv[1]) if len(sys.argv) > 1 else cache, PEERS)
    results = {}
    print(f"{'door':<48} result")
    for door, program in DOORS.items():
        results[door] = attempt(python, program)
        print(f"{door:<48} {'pass' if not results[door] else 'FAIL: ' + results[door][:160]}", flush=True)
    shut = {door: said for door, said in results.items() if said}
    print(
        json.dumps({"benchmark": "neighbours", "doors": len(DOORS), "passed": len(DOORS) - len(shut), "failed": shut})
    )
    sys.exit(1 if shut else 0)


if __name__ == "__main__":
    main()
