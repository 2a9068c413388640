"""Many games of one world at once between agents, every failure a result and never an accident.

All games of a batch advance together: at each tick every agent is asked once, for all the positions in which it is
to move. What an agent gets are copies; what it answers is checked; what it draws comes from each position's seed. The
world is one for all, so it is compared, and put right, after every call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from elodrome.agents.agent import RESIGN, Agent, Failure, Ints, Positions, ply_seeds
from elodrome.agents.parts.answers import answered, failure
from elodrome.agents.parts.shared import WorldGuard
from elodrome.arena.record import GameJob, GameRecord, Termination, scores_of
from elodrome.envs.actions import Action, Actions, as_plain, blank, uniform
from elodrome.envs.game import Mask, World
from elodrome.envs.table import Table
from elodrome.errors import printable, shown, told
from elodrome.seeding import U64, mix64

CHUNK = 256  # games advanced together; fixed, so that results do not depend on how games are spread over workers
_WORD = 0xFFFFFFFFFFFFFFFF


def play_games(
    world: World,
    agents: Sequence[Agent],
    labels: Sequence[str],
    jobs: Sequence[GameJob],
    on_game: Callable[[GameRecord], None] | None = None,
    on_plies: Callable[[int], None] | None = None,
) -> list[GameRecord]:
    """Play all jobs, ``CHUNK`` at a time (fewer where an agent says so); the records in the order of the jobs.

    An agent that raises (TimeoutError: it was too slow), or answers with something that is no legal action, loses that
    game with its reason on record; the other games go on. So does one that alters the world, or whose ``forget`` or
    ``lanes`` are not what they should be. ``on_game`` is called as each game ends, ``on_plies`` with the number of
    actions played, time and again on the way.
    """
    records: list[GameRecord] = []
    lanes = [_lanes(agent) for agent in agents]
    chunk = min([CHUNK, *(n for n in lanes if isinstance(n, int))])
    for start in range(0, len(jobs), chunk):
        records += _Batch(world, agents, labels, jobs[start : start + chunk], on_game, on_plies).play()
    return records


class _Batch:
    """The games of one chunk. A lane is one row of the table: a game, or one agent's share of a solo game."""

    def __init__(
        self,
        world: World,
        agents: Sequence[Agent],
        labels: Sequence[str],
        jobs: Sequence[GameJob],
        on_game: Callable[[GameRecord], None] | None,
        on_plies: Callable[[int], None] | None,
    ) -> None:
        self.world, self.agents, self.labels, self.jobs = world, agents, labels, jobs
        self.on_game, self.on_plies = on_game, on_plies
        self.solo = world.players == 1
        # Solo worlds: every agent of a job has a lane of its own; elsewhere a job is one lane.
        self.lane_job = [j for j, job in enumerate(jobs) for _ in (job.seats if self.solo else (0,))]
        self.first_lane = [self.lane_job.index(j) for j in range(len(jobs))]
        lanes = len(self.lane_job)
        self.owner = np.array(  # [lanes, P] the agent in each seat
            [
                [jobs[j].seats[lane - self.first_lane[j]]] if self.solo else list(jobs[j].seats)
                for lane, j in enumerate(self.lane_job)
            ],
            np.int64,
        ).reshape(lanes, world.players)
        self.table: Table = world.table(lanes)
        self.returns = np.zeros((lanes, world.players))
        self.moves: list[list[Action]] = [[] for _ in range(lanes)]
        self.acted = np.zeros((lanes, world.players), np.bool_)
        self.failed: dict[int, dict[int, tuple[Termination, str]]] = {}  # lane -> seat -> what went wrong
        self.agent_seeds = np.array([jobs[j].agent_seed & _WORD for j in self.lane_job], np.uint64)
        self.open_lanes = [len(job.seats) if self.solo else 1 for job in jobs]
        self.records: list[GameRecord | None] = [None] * len(jobs)
        self.guard = WorldGuard(world)
        self.unfit: dict[int, Failure] = {}  # agent -> why it cannot be asked at all

    def play(self) -> list[GameRecord]:
        for agent in {id(a): a for a in self.agents}.values():
            trouble = self._prepare(agent)
            if trouble is not None:
                self.unfit |= {i: trouble for i, a in enumerate(self.agents) if a is agent}
        rows = np.arange(len(self.lane_job))
        seeds = np.array([self.jobs[j].seed & _WORD for j in self.lane_job], np.uint64)
        self.table.reset(rows, seeds)
        self._open(rows, seeds)
        live = rows[self.table.seats[rows] >= 0]
        for lane in rows[self.table.seats[rows] < 0]:
            self._close(int(lane))
        while len(live):
            live = self._tick(live)
        return [record for record in self.records if record is not None]

    def _prepare(self, agent: Agent) -> Failure | None:
        """Tell an agent that all games are new; why it cannot play them, if it cannot."""
        lanes = _lanes(agent)
        if isinstance(lanes, Failure):
            return lanes
        try:
            agent.forget()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return Failure("crash", f"forget raises {told(error)}")
        altered = self.guard.altered()
        return Failure("crash", altered) if altered else None

    def _open(self, rows: Ints, seeds: U64) -> None:
        """The random openings: drawn from the pair's seed, so that both games of a pair have the same."""
        wanted = np.array([self.jobs[j].opening for j in self.lane_job])
        for ply in range(int(wanted.max(initial=0))):
            now = rows[(wanted > ply) & (self.table.seats[rows] >= 0)]
            words = mix64(seeds[now] ^ mix64(np.full(len(now), 0x0BE0 + ply, np.uint64)))
            self._apply(now, self._random(self.table.legal(now), words))

    def _tick(self, live: Ints) -> Ints:
        """Ask every agent once, step all lanes, close what ended; the lanes still going."""
        legal = self.table.legal(live)
        seats = self.table.seats[live].copy()
        movers = self.owner[live, seats]
        actions = blank(self.world, len(live))
        entries = actions.reshape(len(live), -1) if self.world.continuous else actions
        going = np.ones(len(live), np.bool_)
        for agent in np.unique(movers):
            asked = np.flatnonzero(movers == agent)
            stand_in = [i for i in asked if int(seats[i]) in self.failed.get(int(live[i]), {})]
            if stand_in:  # a seat that failed is moved at random until the other has shown that it works
                at = np.array(stand_in)
                actions[at] = self._random(legal[at], self._seeds(live[at], seats[at]))
                asked = np.setdiff1d(asked, at)
            if not len(asked):
                continue
            answers = self._ask(int(agent), live[asked], seats[asked], legal[asked])
            for i, answer in zip(asked, answers, strict=True):
                lane, seat = int(live[i]), int(seats[i])
                if not isinstance(answer, Failure):
                    entries[i] = answer
                    self.acted[lane, seat] = True
                    if lane in self.failed:
                        going[i] = False
                    continue
                if answer.kind == "resign" and lane in self.failed:  # it works, and the other had failed before
                    going[i] = False
                    continue
                self.failed.setdefault(lane, {})[seat] = (answer.kind, answer.reason)
                others = [s for s in range(self.world.players) if s != seat]
                if self.solo or answer.kind in ("illegal", "resign") or all(self._settled(lane, s) for s in others):
                    going[i] = False
                else:
                    actions[i] = self._random(legal[i : i + 1], self._seeds(live[i : i + 1], seats[i : i + 1]))[0]
        self._apply(live[going], actions[going])
        if self.on_plies:
            self.on_plies(int(going.sum()))
        over = ~going | (self.table.seats[live] < 0)
        for lane in live[over]:
            self._close(int(lane))
        return live[~over]

    def _settled(self, lane: int, seat: int) -> bool:
        """Whether a seat has shown that it works, or that it does not."""
        return bool(self.acted[lane, seat]) or seat in self.failed.get(lane, {})

    def _seeds(self, lanes: Ints, seats: Ints) -> U64:
        return ply_seeds(self.table, lanes, seats, self.agent_seeds[lanes])

    def _ask(self, agent: int, lanes: Ints, seats: Ints, legal: Mask) -> list[Action | Failure]:
        """The agent's answers for these lanes: legal actions; a Failure where it has none. A batch that raises is
        asked again one by one, so that only the positions that are to blame are lost."""
        if agent in self.unfit:
            return [self.unfit[agent]] * len(lanes)
        positions = Positions.at(self.table, lanes, self.agent_seeds[lanes], seats=seats, legal=legal)
        try:
            answers = self.agents[agent].act(positions)
            count = len(answers)
            given = list(islice(answers, count + 1))  # it may say one number and yield for ever
            if altered := self.guard.altered():
                trouble = Failure("crash", altered)
            elif count == len(given) == len(lanes):
                return [_checked(answer, row, self.world) for answer, row in zip(given, legal, strict=True)]
            else:
                trouble = Failure("crash", f"act returned {count} actions for {len(lanes)} positions")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            altered = self.guard.altered()
            trouble = Failure("crash", altered) if altered else failure(error)
        if len(lanes) == 1:
            return [trouble]
        single = (self._ask(agent, lanes[i : i + 1], seats[i : i + 1], legal[i : i + 1]) for i in range(len(lanes)))
        return [answer for (answer,) in single]

    def _random(self, legal: Mask, words: U64) -> Actions:
        """One legal action per row, chosen by the row's random word."""
        return uniform(self.world, words) if self.world.continuous else _random_legal(legal, words)

    def _apply(self, lanes: Ints, actions: Actions) -> None:
        if len(lanes):
            self.returns[lanes] += self.table.step(lanes, actions)
            for lane, action in zip(lanes, as_plain(self.world, actions), strict=True):
                self.moves[lane].append(action)

    def _close(self, lane: int) -> None:
        """A lane has ended; when it was the last of its job, write the record."""
        j = self.lane_job[lane]
        self.open_lanes[j] -= 1
        if self.open_lanes[j]:
            return
        job, first = self.jobs[j], self.first_lane[j]
        if self.solo:
            lanes = range(first, first + len(job.seats))
            returns = [float(self.returns[n, 0]) for n in lanes]
            failed = {i: self.failed[n][0] for i, n in enumerate(lanes) if n in self.failed}
            cut = any(self.table.truncated[n] for n in lanes)
        else:
            lanes = range(first, first + 1)
            returns = [float(r) for r in self.returns[first]]
            failed = self.failed.get(first, {})
            cut = bool(self.table.truncated[first])
        verdict = _verdict(returns, failed, cut)
        if verdict["termination"] == "resign":  # as good as lost by the rules: nobody failed
            least, most = self.world.return_range
            returns = [least if seat in failed else most for seat in range(len(returns))]
            verdict |= {"culprit": None, "reason": f"{self.world.seat_name(verdict['culprit'])} resigned"}
        elif verdict["termination"] in ("win", "draw") and not self.solo:
            verdict["reason"] = self._remarks(first, job.seats)
        record = GameRecord(
            id=job.id,
            env=self.world.id,
            agents=tuple(self.labels[a] for a in job.seats),
            seed=job.seed,
            agent_seed=job.agent_seed,
            opening=job.opening,
            moves=tuple(tuple(self.moves[n]) for n in lanes),
            returns=tuple(returns),
            **verdict,
        )
        self.records[j] = record
        if self.on_game:
            self.on_game(record)

    def _remarks(self, lane: int, seats: Sequence[int]) -> str:
        """What agents that remember games have to say of one that the rules have ended."""
        states = self.table.states(np.array([lane]))
        remarks = []
        for agent in (self.agents[a] for a in seats):
            try:
                if agent.stateful and states is not None and self.world.information == "perfect":
                    remark = agent.ended(lane, states[0].copy(), self.returns[lane].tolist())
                    remarks.append(shown(remark, 200) if type(remark) is not str else printable(remark, 200))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # the result stands, whatever they say
                remarks.append(told(error, 200))
            remarks.append(self.guard.altered())
        return "; ".join(filter(None, remarks))


def _lanes(agent: Agent) -> int | Failure:
    """How many games an agent plays at once; a Failure where it says no such number."""
    try:
        lanes: Any = agent.lanes
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Failure("crash", f"lanes raises {told(error)}")
    if type(lanes) is int and lanes >= 1:
        return lanes
    return Failure("crash", f"lanes is {shown(lanes)}, not a number of games from 1")


def _checked(answer: Any, legal: Mask, world: World) -> Action | Failure:
    """A legal action as a plain one, or what is wrong with the answer."""
    action = answered(answer, world)
    if isinstance(action, Failure):
        return action
    if action == RESIGN and world.kind == "board":
        return Failure("resign", "resigned")
    refused = world.refusal(action, legal)
    return Failure("illegal", f"answered {refused}") if refused else action


def _verdict(returns: list[float], failed: dict[int, tuple[Termination, str]], cut: bool) -> dict[str, Any]:
    """Scores, termination, culprit and reason from what happened."""
    if not failed:
        scores = scores_of(returns)
        kind: Termination = "length" if cut else "draw" if len(set(returns)) == 1 else "win"
        return {"scores": scores, "termination": kind}
    reason = "; ".join(text for _, text in failed.values())
    if len(failed) == len(returns):
        return {"scores": (), "termination": "void", "reason": reason}
    culprit = next(iter(failed))
    ranks = [0.0 if seat in failed else 1.0 for seat in range(len(returns))]
    return {"scores": scores_of(ranks), "termination": failed[culprit][0], "culprit": culprit, "reason": reason}


def _random_legal(legal: Mask, words: U64) -> Ints:
    """One legal action per row, chosen by the row's random word."""
    count = legal.sum(axis=1).astype(np.uint64)
    skip = ((words >> np.uint64(32)) * count) >> np.uint64(32)
    reached = np.cumsum(legal, axis=1, dtype=np.int64) > skip.astype(np.int64)[:, None]
    chosen: npt.NDArray[np.int64] = reached.argmax(axis=1)
    return chosen
