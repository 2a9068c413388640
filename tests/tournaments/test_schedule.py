"""Schedules: who meets whom, common dice in pairs, ids and seeds that depend on nothing else."""

import pytest

from elodrome.envs.registry import make_env
from elodrome.errors import UserError
from elodrome.tournaments.schedule import UNIT, chunks, default_opening, pairing_jobs, pairings

WORLD = make_env("tic_tac_toe")


def test_round_robin_and_gauntlet() -> None:
    assert pairings("round-robin", 4) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert pairings("gauntlet", 4) == [(0, 1), (0, 2), (0, 3)]
    with pytest.raises(UserError, match="did you mean 'round-robin'"):
        pairings("roundrobin", 4)
    with pytest.raises(UserError, match="at least 2 agents, not 1"):
        pairings("gauntlet", 1)


def test_games_come_in_pairs_on_common_dice_with_the_seats_swapped() -> None:
    jobs = pairing_jobs(WORLD, ["a", "b"], (0, 1), 6, 0, 1)
    for first, second in zip(jobs[::2], jobs[1::2], strict=True):
        assert first.seats == (0, 1)
        assert second.seats == (1, 0)
        assert first.seed == second.seed
        assert first.agent_seed != second.agent_seed
    assert len({job.seed for job in jobs}) == 3
    assert [job.id for job in jobs[:2]] == ["0:tic_tac_toe:a v b:0", "0:tic_tac_toe:a v b:1"]


def test_ids_and_seeds_depend_on_the_two_agents_alone() -> None:
    alone = pairing_jobs(WORLD, ["a", "b"], (0, 1), 4, 5, 1)
    among = pairing_jobs(WORLD, ["x", "b", "a"], (1, 2), 6, 5, 1)
    assert [(j.id, j.seed, j.agent_seed) for j in alone] == [(j.id, j.seed, j.agent_seed) for j in among[:4]]
    assert [j.seats for j in among[:2]] == [(2, 1), (1, 2)]
    other = pairing_jobs(WORLD, ["a", "c"], (0, 1), 4, 5, 1)
    assert not {j.seed for j in alone} & {j.seed for j in other}


def test_solo_games_give_both_the_same_dice() -> None:
    jobs = pairing_jobs(make_env("cliff_walking"), ["a", "b"], (0, 1), 5, 0, 0)
    assert {job.seats for job in jobs} == {(0, 1)}
    assert len({job.seed for job in jobs}) == 5


def test_those_who_play_alone_have_their_dice_in_common() -> None:
    assert pairings("alone", 3) == [(0,), (1,), (2,)]
    world = make_env("cliff_walking")
    a, b = (pairing_jobs(world, ["a", "b"], (agent,), 4, 7, 0) for agent in (0, 1))
    assert {job.seats for job in b} == {(1,)}
    assert [(j.seed, j.agent_seed) for j in a] == [(j.seed, j.agent_seed) for j in b]
    assert len({job.seed for job in a}) == 4
    assert not {job.id for job in a} & {job.id for job in b}


def test_openings_by_world() -> None:
    expected = {"tic_tac_toe": 2, "connect_four": 2, "cliff_walking": 0, "rock_paper_scissors": 0, "token_mdp": 0}
    assert {name: default_opening(make_env(name)) for name in expected} == expected


def test_chunks_hold_every_game_once_and_advance_all_pairings_together() -> None:
    pairs = [pairing_jobs(WORLD, list("abc"), pair, n, 0, 1) for pair, n in (((0, 1), 2 * UNIT + 6), ((0, 2), UNIT))]
    cut = chunks(pairs)
    assert [len(chunk) for chunk in cut] == [UNIT, UNIT, UNIT, 6]
    assert sorted(job.id for chunk in cut for job in chunk) == sorted(job.id for jobs in pairs for job in jobs)
    assert cut[0][0].id.split(":")[2] == "a v b"
    assert cut[1][0].id.split(":")[2] == "a v c"
