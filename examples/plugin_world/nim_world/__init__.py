"""Nim: three heaps; take any number from one heap; who takes the last object wins (Bouton 1901)."""

from elodrome.envs.game import Game, rule

LARGEST = 5

# The row: [heap 0, heap 1, heap 2, seat to act or -1]. Action h * 5 + (n - 1) takes n objects from heap h.


@rule.reset
def reset(state, chance):
    state[0] = 3
    state[1] = 4
    state[2] = 5
    state[3] = 0


@rule.player
def player(state):
    return state[3]


@rule.legal
def legal(state, mask):
    for action in range(15):
        mask[action] = state[3] >= 0 and state[action // 5] > action % 5


@rule.step
def step(state, action, chance, rewards):
    seat = state[3]
    state[action // 5] -= action % 5 + 1
    if state[0] + state[1] + state[2] == 0:
        rewards[seat] = 1.0
        rewards[1 - seat] = -1.0
        state[3] = -1
    else:
        state[3] = 1 - seat


@rule.observe
def observe(state, seat, out):
    for heap in range(3):
        for n in range(5):
            out[heap * 5 + n] = state[heap] > n


def text(state):
    return "\n".join(f"{'abc'[h]} " + "o" * int(state[h]) for h in range(3))


def nim():
    """Nim with heaps of 3, 4 and 5 (the first player wins: 3 xor 4 xor 5 is not 0)"""
    return Game(
        id="nim",
        players=2,
        actions=15,
        observation_shape=(15,),
        state_words=4,
        max_steps=12,
        kind="board",
        zero_sum=True,
        action_names=tuple(f"{'abc'[h]}{n}" for h in range(3) for n in range(1, LARGEST + 1)),
        reset=reset,
        player=player,
        legal=legal,
        step=step,
        observe=observe,
        text=text,
    )
