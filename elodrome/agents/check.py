"""check_agent: the conformance check that every agent, ours or a plugin's, passes on every world it fits.

Each finding is one line that says what is wrong and what to do. No finding means that the agent can be trusted in a
match: legal, repeatable from the seed, the same alone as in a batch, and without a hand in anybody else's pocket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from elodrome.agents.agent import Agent, Budget, Failure, Ints, Learner, Positions, Task
from elodrome.agents.parts.answers import answered
from elodrome.agents.parts.saved import load_checkpoint, save_checkpoint
from elodrome.agents.parts.shared import ProcessGuard, WorldGuard
from elodrome.agents.parts.threads import single_threaded
from elodrome.agents.registry import make_agent, make_learner
from elodrome.agents.specs import parse_spec
from elodrome.envs.actions import kind_of_action, random_actions
from elodrome.envs.game import World
from elodrome.errors import BrokenAgent, shown, told
from elodrome.seeding import streams

SIDE = 2  # reports on each side of a break in training that must bring new weights
FIRST_BUDGET = {"updates": 8}  # in the learner's own unit: an update of a text policy is a thousand times a step
OTHER_BUDGET = 64
BATCH_MOVES = 8  # moves' time that a batch may take whose agent answers all at once
LOADING = 0
BARREN = 4  # budgets in a row that bring no more of them: then what there is must do

Asked = Callable[[int], object]


def sample_positions(world: World, count: int, seed: int) -> Positions:
    """``count`` positions of random play, at all stages of the game, as an agent would be shown them."""
    table = world.table(count)
    rows = np.arange(count)
    table.reset(rows, streams(seed, count))
    rng = np.random.default_rng(seed)
    for row in rows:
        for _ in range(int(rng.integers(0, min(world.max_steps, 12)))):
            one = np.array([row])
            if table.seats[row] < 0:
                break
            table.step(one, random_actions(world, table.legal(one), rng))
        if table.seats[row] < 0:
            table.reset(np.array([row]), streams(seed + 1 + int(row), 1))
    rows = rows[table.seats[rows] >= 0]
    return Positions.at(table, rows, rows.astype(np.uint64) + np.uint64(seed))


def _copy(p: Positions, order: Ints) -> Positions:
    states = None if p.states is None else p.states[order].copy()
    return Positions(
        p.world, p.observations[order].copy(), p.legal[order].copy(), p.seats[order].copy(), states,
        p.seeds[order].copy(), p.games[order].copy(), p.plies[order].copy(),
    )  # fmt: skip


def check_acting(
    agent: Agent,
    world: World,
    *,
    positions: int = 24,
    seed: int = 0,
    fallible: bool = False,
    asked: Asked = lambda moves: None,
) -> list[str]:
    """Findings about an acting agent on ``world``; one that is ``fallible`` may answer what is not legal."""
    given = sample_positions(world, positions, seed)
    findings = _check_hooks(agent, asked)
    shown_to = _copy(given, np.arange(len(given)))
    bait = world.table(2)  # what an agent that goes looking for tables finds
    bait.reset(np.arange(2), streams(seed, 2))
    before = bait.snapshot() or {}
    shared, process = WorldGuard(world), ProcessGuard()
    try:
        first = _act(agent, shown_to, asked)
    except _Fault as fault:
        altered, _ = shared.altered(), process.altered()
        return [*findings, str(fault), *([f"act {altered}; everybody plays it"] if altered else [])]
    if altered := shared.altered():
        findings.append(f"act {altered}; everybody plays it, so leave it as it is")
    for name in process.altered():
        drawn = "generator" in name
        findings.append(
            f"act draws from {name}: a global random generator; draw from position.rng, so that games can be replayed"
            if drawn
            else f"act changes {name}, which all agents share; leave it as it is"
        )
    if any(not np.array_equal(array, before[name]) for name, array in (bait.snapshot() or {}).items()):
        findings.append("act changes a table of games, which is the arena's; answer with actions, no more")
    for name in ("observations", "legal", "seats", "states", "seeds", "games", "plies"):
        if not np.array_equal(getattr(shown_to, name), getattr(given, name)):
            findings.append(f"act writes into positions.{name}; copy it before you change it")
    if not fallible and (wrong := _check_legal(first, given)):
        return findings + wrong
    try:
        return findings + _check_repeats(agent, given, first, asked) + _check_thoughts(agent, given, asked)
    except _Fault as fault:
        return [*findings, str(fault)]
    finally:  # it has done the same again
        shared.altered()
        process.altered()


class _Fault(Exception):
    """What an agent did so wrong that no more can be asked of it; a finding."""


def _act(agent: Agent, positions: Positions, asked: Asked) -> list[Any]:
    """The agent's answers. Raises _Fault where it raises, or answers not one for each."""
    answers: Any = []
    try:
        if type(agent).act is Agent.act:
            for i in range(len(positions)):
                asked(1)
                answers.append(agent.choose(positions[i]))
        else:
            asked(min(len(positions), BATCH_MOVES))
            answers = agent.act(positions)
        count = len(answers)
        answers = list(islice(answers, count + 1))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _Fault(f"act raises {told(error)}") from error
    if not count == len(answers) == len(positions):
        raise _Fault(f"act returned {count} actions for {len(positions)} positions; return one for each, in order")
    return answers


def _check_hooks(agent: Agent, asked: Asked) -> list[str]:
    """Findings about what a match asks of an agent beside actions."""
    findings = []
    asked(1)
    try:
        lanes: Any = agent.lanes
        if type(lanes) is not int or lanes < 1:
            findings.append(f"lanes is {shown(lanes)}; make it the number of games, at least 1, that it plays at once")
        agent.forget()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        findings.append(f"forget or lanes raises {told(error)}")
    return findings


def _check_repeats(agent: Agent, given: Positions, first: list[Any], asked: Asked) -> list[str]:
    """Findings about answers that should be the same again: a second time, alone, in another order."""
    straight = np.arange(len(given))
    findings: list[str] = []
    if _check_hooks(agent, asked):
        return findings
    if not _same(first, _act(agent, _copy(given, straight), asked)):
        findings.append(
            "act answers the same positions differently the second time; all randomness must come from position.rng"
        )
    if not agent.stateful:
        turned = straight[::-1].copy()
        alone = [_act(agent, _copy(given, np.array([i])), asked)[0] for i in straight[:6]]
        again = _act(agent, _copy(given, turned), asked)
        if not _same(first[:6], alone) or not _same([first[i] for i in turned], again):
            findings.append(
                "act answers a position differently when others stand beside it; make it independent, "
                "or declare stateful = True if it remembers a game"
            )
    return findings


def _check_thoughts(agent: Agent, given: Positions, asked: Asked) -> list[str]:
    """Findings about what an agent says that it thinks."""
    findings = []
    asked(min(len(given), BATCH_MOVES))
    try:
        thought = agent.evaluate(_copy(given, np.arange(len(given))))
        if thought is None:
            return []
        policy = np.asarray(thought.policy, np.float64)
        value = None if thought.value is None else np.asarray(thought.value, np.float64)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return [f"evaluate raises {told(error)}"]
    if policy.shape != given.legal.shape:
        findings.append(f"evaluate gives a policy of shape {policy.shape}, not {given.legal.shape}")
    elif policy.shape[1] and (not np.allclose(policy.sum(axis=1), 1, atol=1e-6) or (policy < 0).any()):
        findings.append("evaluate gives a policy whose rows are not probabilities")
    if value is not None and not np.isfinite(value).all():
        findings.append("evaluate gives a value that is not finite")
    return findings


def check_learning(
    kind: str,
    world: World,
    options: dict[str, Any],
    seed: int = 0,
    fallible: bool = False,
    asked: Asked = lambda moves: None,
) -> list[str]:
    """Findings about a learner: it reports, saves, restores to the same agent, and resumes to the same weights.

    It is trained as far as it takes for its weights to change several times. In the midst of these changes it is kept
    in a file; a second learner must get as far to the same weights, and a third go on from the file to the same end.
    """

    def make() -> Learner:
        asked(LOADING)
        return make_learner(kind, Task(world, seed), options)

    make()  # loads what runs on threads
    with single_threaded():
        learner, findings = _check_training(make, asked)
    asked(LOADING)
    restored = type(learner).restore(world, learner.config, learner.weights())
    given = sample_positions(world, 16, seed)
    if not _same(list(learner.agent.act(given)), list(restored.act(given))):
        findings.append("the agent restored from weights() acts differently from the one that was trained")
    return findings + check_acting(restored, world, seed=seed, fallible=fallible, asked=asked)


@dataclass(frozen=True)
class _Report:
    """One report of a learner that is being checked: its step, the weights then, and whether they are new."""

    step: int
    weights: dict[str, Any]
    new: bool


def _check_training(make: Callable[[], Learner], asked: Asked) -> tuple[Learner, list[str]]:
    """A trained learner, and findings about how it learns and resumes."""
    most = barren = steps = changes = gap = 0
    reports: list[_Report] = []
    with TemporaryDirectory() as folder:
        while most < 2 * SIDE and barren < BARREN:
            # As far as the reports so far let expect; where nothing changes yet, eight times as far.
            if most:
                steps = reports[-1].step + (2 * SIDE - changes) * gap
            else:
                steps = 8 * steps or FIRST_BUDGET.get(make().unit, OTHER_BUDGET)
            learner = make()
            reports, findings = _train(learner, steps, Path(folder), asked)
            if findings:
                return learner, findings
            gap = max(after - before for before, after in pairwise([0, *(report.step for report in reports)]))
            changes = sum(report.new for report in reports)
            barren = 0 if changes > most else barren + 1
            most = max(most, changes)
        if not most:
            return learner, [f"nothing in weights() changes in {steps} {learner.unit}, so resuming cannot be checked"]
        if len(reports) < 2:
            return learner, [
                f"learn yields one Progress in {steps} {learner.unit}; yield more, for runs that are stopped"
            ]
        news = [index for index, report in enumerate(reports) if report.new]
        middle = reports[min(news[(len(news) - 1) // 2], len(reports) - 2)]
        return learner, _check_resuming(learner, make, steps, middle, Path(folder) / str(middle.step), asked)


def _train(learner: Learner, steps: int, folder: Path, asked: Asked) -> tuple[list[_Report], list[str]]:
    """Train to a budget, with a checkpoint in ``folder/STEP`` at every report: all reports, and findings that forbid to
    go on."""
    reports: list[_Report] = []
    weights = learner.weights()
    for progress in learner.learn(Budget(steps)):
        asked(LOADING)
        before, weights = weights, learner.weights()
        reports.append(_Report(progress.step, weights, not _same_arrays(before, weights)))
        try:
            save_checkpoint(folder / str(progress.step), progress.step, learner.snapshot())
        except (TypeError, ValueError) as error:
            return reports, [f"snapshot() cannot be kept in a file ({error}); put arrays and JSON values into it"]
    if not reports:
        return reports, ["learn yields no Progress; yield one now and then, and one at the end"]
    if reports[-1].step < steps:
        return reports, [f"learn stops at step {reports[-1].step} of {steps}"]
    return reports, []


def _check_resuming(
    unbroken: Learner, make: Callable[[], Learner], steps: int, middle: _Report, checkpoint: Path, asked: Asked
) -> list[str]:
    """Findings about a second learner that is trained to ``middle``, and a third that goes on from its checkpoint."""
    try:
        _, kept = load_checkpoint(checkpoint) or (0, {})
    except BrokenAgent as error:
        return [f"snapshot() cannot be read back: {error}"]
    again, resumed = make(), make()
    for report in again.learn(Budget(steps)):
        asked(LOADING)
        if report.step >= middle.step:
            break
    if not _same_arrays(middle.weights, again.weights()):
        return ["the same seed gives other weights the second time; draw everything from task.seed"]
    try:
        resumed.resume(kept)
    except Exception as error:
        return [f"resume raises {type(error).__name__}: {error}"]
    for _ in resumed.learn(Budget(steps)):
        asked(LOADING)
    if not _same_arrays(unbroken.weights(), resumed.weights()):
        return ["a learner restored from a snapshot goes on differently; put all it needs into snapshot()"]
    return []


def check_agent(spec: str, world: World, *, seed: int = 0, asked: Asked = lambda moves: None) -> list[str]:
    """All findings about the agent that ``spec`` names, on ``world``; an empty list means that it conforms.

    A kind that learns is trained for a few steps first. ``asked(n)`` is called before anything is asked of the agent:
    n moves, or with ``LOADING`` to load, or to learn on to its next report.

    Raises UserError when the spec is unknown or does not fit.
    """
    from elodrome.agents.parts.saved import find_saved

    if find_saved(spec, world) is None:
        kind, options = parse_spec(spec)
        if issubclass(kind.load(), Learner):
            return check_learning(
                spec.partition(":")[0] if ".py:" not in spec else spec, world, options, seed, kind.about.fallible, asked
            )
    shared = WorldGuard(world)
    asked(LOADING)
    agent = make_agent(spec, world)
    asked(LOADING)
    twin = make_agent(spec, world)
    altered = shared.altered()
    findings = [f"__init__ {altered}; everybody plays it, so leave it as it is"] if altered else []
    findings += check_acting(agent, world, seed=seed, asked=asked)
    given = sample_positions(world, 16, seed)
    try:
        if not agent.stateful and not _same(*(_act(one, given, asked) for one in (agent, twin))):
            findings.append(
                "a used agent answers differently from a fresh one; keep no memory, or declare stateful = True"
            )
    except _Fault as fault:
        return findings or [str(fault)]
    return findings


def _check_legal(actions: Sequence[Any], given: Positions) -> list[str]:
    for action, legal in zip(actions, given.legal, strict=True):
        world, plain = given.world, answered(action, given.world)
        if isinstance(plain, Failure):
            return [f"act {plain}; answer with {kind_of_action(world) if world.continuous else 'an int'}"]
        if refused := world.refusal(plain, legal):
            right = "stay within world.low and world.high"
            return [f"act answered {refused}; {right if world.continuous else 'choose from position.legal_actions'}"]
    return []


def _same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    try:
        return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    except Exception:  # answers of a class of its own, which cannot be compared
        return False


def _same_arrays(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[k], two[k]) for k in one)
