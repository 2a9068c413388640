"""An agent that takes a win when it sees one, and else plays at random."""

import numpy as np

from elodrome.agents.agent import Agent, Position

ABOUT = {"cls": "Careful", "chapter": "plugin", "summary": "takes a win in one move", "needs": ("state", "perfect")}


class Careful(Agent):
    """Tries every legal action on a copy of the state."""

    def choose(self, position: Position) -> int:
        rewards = np.zeros(self.world.players)
        for action in position.legal_actions:
            after = position.state.copy()
            rewards[:] = 0
            self.world.step(after, int(action), 0, rewards)
            if rewards[position.seat] > 0:
                return int(action)
        return int(position.rng.choice(position.legal_actions))
