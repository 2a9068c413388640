"""The figures' numbers against published ones, exact ones, and samples; and that all of them are drawn."""

import csv
import io
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from elodrome import make_env
from elodrome.agents.parts.exact import Decisions, softmax
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.cli import app
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game, Reals
from elodrome.envs.tokens.exact import Answers, enumerate_answers
from elodrome.errors import UserError
from elodrome.figures import _episodes as episodes
from elodrome.figures import importance_weights, maze, windy_gridworld
from elodrome.figures._paths import learn_paths
from elodrome.figures.figure import Curve, Figure, compute, draw, figures, picture, table
from elodrome.seeding import generator


@pytest.fixture(scope="module")
def drawn() -> dict[str, Figure]:
    ticks: list[tuple[int, int]] = []
    found = {
        # The errors of ten runs on the cliff say little of themselves: falls are rare and dear.
        name: compute(name, quick=name != "cliff_walking", seed=3, tick=lambda *t: ticks.append(t))
        for name in figures()
    }
    assert all(1 <= done <= total for done, total in ticks)
    return found


def curve(figure: Figure, label: str) -> Curve:
    return next(c for c in figure.curves if c.label == label)


def test_all_are_drawn_with_their_numbers(drawn: dict[str, Figure]) -> None:
    assert len(drawn) >= 16
    for name, figure in drawn.items():
        assert picture(figure).startswith(b"\x89PNG"), name
        rows = list(csv.reader(io.StringIO(table(figure).decode())))
        for panel in figure.panels:
            points = sum(len(c.x) for c in panel.curves) + len(panel.levels)
            heading, numbers, rows = rows[0], rows[1 : 1 + points], rows[1 + points :]
            assert heading == ["curve", panel.x, panel.y, "standard error"]
            assert len(numbers) == points
            assert all(np.isfinite(float(row[2])) for row in numbers), name
        assert not rows
        assert figure.remarks


def test_curves_fill_their_pictures(drawn: dict[str, Figure]) -> None:
    for name, figure in drawn.items():
        for axes, panel in zip(draw(figure).axes, figure.panels, strict=True):
            if panel.grid:
                continue
            bars = [np.stack([c.x, c.mean + way * c.error], axis=1) for c in panel.curves for way in (-2, 0, 2)]
            points = np.concatenate([bar[bar[:, 1] > 0] if "y" in panel.log else bar for bar in bars])
            seen = axes.transAxes.inverted().transform(axes.transData.transform(points))
            inside = seen[(seen >= -0.001).all(axis=1) & (seen <= 1.001).all(axis=1)]
            assert len(inside) > 0.5 * len(seen), name
            assert (np.ptp(inside, axis=0) > 0.3).all(), name


def test_a_seed_is_a_figure() -> None:
    one, same, other = (table(compute("gae_lambda", quick=True, seed=s, tick=lambda *_: None)) for s in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize(("kind", "other_program", "its_error"), [("Q-learning", -51.4, 1.0), ("SARSA", -27.4, 0.8)])
def test_the_cliff(drawn: dict[str, Figure], kind: str, other_program: float, its_error: float) -> None:
    """Means of the last 100 of 500 episodes, simulated by another program as well."""
    remark = next(r for r in drawn["cliff_walking"].remarks if r.startswith(f"{kind}:"))
    mean, error = (float(word) for word in remark.split(": ")[1].split(" in ")[0].split(" +- "))
    assert abs(mean - other_program) < 3 * np.hypot(error, its_error)
    levels = drawn["cliff_walking"].levels
    assert levels["best path"] == -13
    assert levels["ε-greedy on Q*"] == pytest.approx(-50.80, abs=0.01)
    assert levels["best ε-soft policy"] == pytest.approx(-20.71, abs=0.01)


@pytest.mark.parametrize(
    ("n", "alpha", "published"), [(1, 0.8, 0.348), (2, 0.6, 0.280), (4, 0.4, 0.268), (8, 0.2, 0.283), (16, 0.1, 0.324)]
)
def test_the_walk(drawn: dict[str, Figure], n: int, alpha: float, published: float) -> None:
    found = curve(drawn["n_step_errors"], f"n = {n}")
    at = int(np.abs(found.x - alpha).argmin())
    assert abs(found.mean[at] - published) < 3 * np.hypot(found.error[at], 0.004)


def test_the_walk_beside_another_program(drawn: dict[str, Figure]) -> None:
    ours, other = drawn["walk_table"].curves
    assert other.mean.tolist() == [0.348, 0.280, 0.268, 0.283, 0.324]
    assert (np.abs(ours.mean - other.mean) < 3 * np.hypot(ours.error, other.error)).all()


RANDOM_PLAY = """
 3.3  8.8  4.4  5.3  1.5
 1.5  3.0  2.3  1.9  0.5
 0.1  0.7  0.7  0.4 -0.4
-1.0 -0.4 -0.4 -0.6 -1.2
-1.9 -1.3 -1.2 -1.4 -2.0"""
BEST_PLAY = """
22.0 24.4 22.0 19.4 17.5
19.8 22.0 19.8 17.8 16.0
17.8 19.8 17.8 16.0 14.4
16.0 17.8 16.0 14.4 13.0
14.4 16.0 14.4 13.0 11.7"""


def test_the_grid_of_the_book(drawn: dict[str, Figure]) -> None:
    """Sutton & Barto, figures 3.2 and 3.5, all cells; and the arrows of the latter."""
    left, right = drawn["gridworld_values"].panels
    for panel, published in ((left, RANDOM_PLAY), (right, BEST_PLAY)):
        assert panel.curves[0].x.tolist() == list(range(25))
        assert panel.curves[0].mean == pytest.approx([float(word) for word in published.split()], abs=0.0501)
    assert right.grid
    assert [right.grid.marks[cell] for cell in range(10)] == ["→", "A", "←", "B", "←", "↑→", "↑", "↑←", "←", "←"]
    assert {right.grid.marks[cell] for cell in (10, 15, 20)} == {"↑→"}
    assert {right.grid.marks[cell] for cell in (11, 16, 21)} == {"↑"}
    assert {right.grid.marks[cell] for cell in (12, 13, 14, 17, 24)} == {"↑←"}


def test_lakes_are_crossed_as_often_as_can_be(drawn: dict[str, Figure]) -> None:
    """Planned: known shares. Learned with the defaults, in the mean of the seeds."""
    figure = drawn["frozen_lake"]
    assert curve(figure, "planned for the steps left").mean == pytest.approx([0.7442, 0.9132], abs=5e-5)
    assert (curve(figure, "Q-learning").mean >= [0.72, 0.80]).all()
    assert all((c.mean <= figure.curves[0].mean + 1e-12).all() for c in figure.curves)


def test_what_a_reward_model_says_goes_up_and_what_is_meant_goes_down(drawn: dict[str, Figure]) -> None:
    """Without KL; the KL and an ensemble mend it."""
    (alone, held, cautious), (gold, held_gold, cautious_gold) = (p.curves for p in drawn["over_optimisation"].panels)
    assert alone.mean[-1] > 0.2
    assert gold.mean[-1] < gold.mean.max() - 0.05
    assert held.x[-1] < gold.x[-1] / 2
    assert held_gold.mean[-1] > max(0.0, gold.mean[-1] + 0.05)
    assert cautious.mean[-1] > 0.2
    assert cautious_gold.mean.max() > gold.mean.max()
    assert cautious_gold.mean[-1] > gold.mean[-1] + 0.05


MAZE = (".......#G", "..#....#.", "S.#....#.", "..#......", ".....#...", ".........")


def slow_step(windy: bool, row: int, column: int, action: int) -> tuple[int, int, bool]:
    """The rules of examples 6.5 and 8.1 anew, in plain Python."""
    to = row + (-1, 0, 1, 0)[action], column + (0, 1, 0, -1)[action]
    if windy:
        blown = min(max(to[0], 0), 6) - (0, 0, 0, 1, 1, 1, 2, 2, 1, 0)[column]
        row, column = max(blown, 0), min(max(to[1], 0), 9)
        return row, column, (row, column) == (3, 7)
    if 0 <= to[0] < 6 and 0 <= to[1] < 9 and MAZE[to[0]][to[1]] != "#":
        row, column = to
    return row, column, (row, column) == (0, 8)


def slow_lengths(windy: bool, on_policy: bool, alpha: float, episodes: int, rng: np.random.Generator) -> list[int]:
    """Steps of each episode of SARSA or Q-learning, epsilon 0.1, by dictionaries."""
    q: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0] * 4)
    discount, lengths = 1.0 if windy else 0.95, []

    def choose(place: tuple[int, int]) -> int:
        if rng.random() < 0.1:
            return int(rng.integers(4))
        best = max(q[place])
        return int(rng.choice([a for a in range(4) if q[place][a] == best]))

    for _ in range(episodes):
        place, steps, over = (3, 0) if windy else (2, 0), 0, False
        action = choose(place)
        while not over:
            *ahead, over = slow_step(windy, *place, action)
            after = (ahead[0], ahead[1])
            target = -1.0 if windy else float(over)
            following = choose(after)
            if not over:
                target += discount * (q[after][following] if on_policy else max(q[after]))
            q[place][action] += alpha * (target - q[place][action])
            # Q-learning looks again after it has learned: where it stood may be where it stands.
            place, action, steps = after, following if on_policy else choose(after), steps + 1
        lengths.append(steps)
    return lengths


@pytest.mark.parametrize(
    ("name", "label", "alpha", "ranges"),
    [
        ("windy_gridworld", "SARSA", 0.5, [(10, 40), (100, 300)]),
        ("windy_gridworld", "Q-learning", 0.5, [(10, 40), (200, 300)]),
        ("maze", "Q-learning", 0.1, [(0, 10), (40, 50)]),
    ],
)
def test_ways_are_learned_as_in_a_slow_program(
    drawn: dict[str, Figure], name: str, label: str, alpha: float, ranges: list[tuple[int, int]]
) -> None:
    windy, runs, episodes = name == "windy_gridworld", 12, ranges[-1][1]
    rng = generator(0, name, label)
    slow = np.array([slow_lengths(windy, label == "SARSA", alpha, episodes, rng) for _ in range(runs)])
    cls, settings = (windy_gridworld if windy else maze).KINDS[label]
    world = make_env(f"gridworld:map={'windy' if windy else 'maze'},max_steps=10000")
    assert isinstance(world, Game)
    ours, _ = learn_paths(cls, world, settings, list(range(40)), episodes)
    for low, high in ranges:
        one, other = slow[:, low:high].mean(axis=1), ours[:, low:high].mean(axis=1)
        error = np.hypot(one.std(ddof=1) / np.sqrt(len(one)), other.std(ddof=1) / np.sqrt(len(other)))
        assert abs(one.mean() - other.mean()) < 3 * error, (low, high, one.mean(), other.mean(), error)


def test_shortest_ways_are_found(drawn: dict[str, Figure]) -> None:
    windy, through = drawn["windy_gridworld"], drawn["maze"]
    assert windy.levels["shortest path"] == 15
    assert through.levels == {"shortest path": 14}
    assert windy.levels["best ε-soft policy"] == pytest.approx(17.05, abs=0.01)
    for name in ("expected SARSA", "Q-learning"):
        # The best that explores as much takes 17 steps in the mean, and nothing learned is better.
        assert 16 < curve(windy, name).mean[-100:].mean() < 19
    # Sutton & Barto, figure 8.2: without planning near the shortest path after about 25 episodes.
    near = {c.label: int(np.argmax(c.mean < maze.NEAR)) + 1 for c in through.curves}
    assert 18 <= near["Q-learning"] <= 32
    assert near["n-step SARSA, n = 8"] < near["Q-learning"]
    assert max(near["SARSA(λ), λ = 0.9"], near["Q(λ), λ = 0.9"]) <= 6


def test_blackjack_by_whole_games(drawn: dict[str, Figure]) -> None:
    left, right = drawn["blackjack"].panels
    assert left.levels["exact"] == pytest.approx(-0.27726, abs=4e-4)  # published
    value = left.curves[0]
    assert abs(value.mean[-1] - left.levels["exact"]) < 3 * value.error[-1]
    assert value.error[-1] < 0.005
    for learned in right.curves:
        assert (learned.mean <= right.levels["best"]).all()
        assert learned.mean[0] < learned.mean[-1]
        assert learned.mean[-1] > right.levels["best"] - 0.025 > right.levels["hit below 20"]


def test_the_corridor_is_climbed_from_both_sides(drawn: dict[str, Figure]) -> None:
    left, right = drawn["corridor"].panels
    exact = curve(left, "exact")
    assert exact.mean == pytest.approx((2 * exact.x - 4) / (exact.x * (1 - exact.x)))
    best = left.levels["best"]
    assert best == pytest.approx(-6 - 4 * np.sqrt(2))
    assert exact.mean.max() <= best
    for way in right.curves:
        end = curve(left, way.label)
        assert way.mean[0] < -17
        assert way.mean[-1] == end.mean[0] <= best
        assert best - end.mean[0] < 0.1
    told = [r.split("p = ")[2].split(",")[0].split(" +- ") for r in drawn["corridor"].remarks[:-1]]
    right, error = np.array(told, np.float64).T
    pooled = np.sqrt((error**2).sum()) / len(error)  # each is of few runs
    assert abs(right.mean() - (2 - np.sqrt(2))) < 3 * pooled


def test_clipping_neither_too_much_nor_not_at_all(drawn: dict[str, Figure]) -> None:
    figure = drawn["clip_range"]
    way = {c.label: c.mean.mean() for c in figure.curves}
    assert way["ε = 0.2"] > way["ε = 0.02"] + 1
    assert way["ε = 0.2"] > way["no clipping"] + 1
    assert max(c.mean.max() for c in figure.curves) <= figure.levels["best"]
    assert len({c.mean[0] for c in figure.curves}) == 1  # all begin alike


def test_text_policies_go_where_theory_sends_them(drawn: dict[str, Figure]) -> None:
    """Reduced in size: most of the way to where each comes to rest."""
    for c in drawn["token_optimum"].curves:
        assert c.mean[-1] < 0.25 * c.mean[0], c.label
    missing = drawn["token_optimum"].panels[1]
    for c in missing.curves:
        assert c.mean[0] == pytest.approx(1.0)
        assert c.mean[-1] > -1e-6
        assert c.mean[-1] < 0.2 or "tokens" in c.label, c.label


def test_estimators_of_the_kl_as_values_and_as_losses(drawn: dict[str, Figure]) -> None:
    """Exact: what is 0 is not drawn but told."""
    values, gradients = drawn["kl_estimators"].panels
    told = dict(remark.rsplit(": ", 1) for remark in values.remarks[1:])
    for label in ("k1 of answers", "k3 of answers", "k1 of tokens", "k3 of tokens"):
        assert told[f"{label}: bias"] == "0.0000 of it"
    assert curve(values, "k2 of answers: bias").mean[-1] > 0.1
    k1, k3 = (curve(values, f"{name} of answers: deviation") for name in ("k1", "k3"))
    assert (k3.mean[:6] < k1.mean[:6]).all()
    assert told["k2 of answers: gradient"] == "0.0000 of it"
    assert told["k3 of answers, corrected, on the reference's: gradient"] == "0.0000 of it"
    assert curve(gradients, "k1 of answers: gradient").mean == pytest.approx(1.0)
    assert (curve(gradients, "k3 of answers: gradient").mean > 0.05).all()
    assert (curve(gradients, "k2 of tokens: gradient").mean > 0.05).all()


def test_traces_without_lambda_are_one_step(drawn: dict[str, Figure]) -> None:
    one, other = curve(drawn["trace_errors"], "λ = 0"), curve(drawn["n_step_errors"], "n = 1")
    for at, alpha in enumerate(other.x):
        same = int(np.abs(one.x - alpha).argmin())
        assert abs(one.mean[same] - other.mean[at]) < 4 * np.hypot(one.error[same], other.error[at]) + 1e-9


def test_two_tables_are_drawn_in_less(drawn: dict[str, Figure]) -> None:
    """The share of left at its worst, as in Sutton & Barto's figure 6.5; the optimum is 5 %."""
    single, double = (curve(drawn["maximisation_bias"], name).mean for name in ("Q-learning", "double Q-learning"))
    assert single[:100].mean() > double[:100].mean() + 15
    assert double[-1] < single[-1]


def test_baselines_in_the_order_of_the_theory(drawn: dict[str, Figure]) -> None:
    none, mean, value, least = (c.mean for c in drawn["baseline_variance"].curves)
    assert (none > mean).all()
    assert (mean > value).all()
    assert (value >= 0.98 * least).all()
    assert value[-1] > least[-1]


def test_an_exact_critic_needs_no_rewards(drawn: dict[str, Figure]) -> None:
    """Where V is exact and steps are certain, one residual is the advantage; the more it is wrong, the more λ."""
    curves = drawn["gae_lambda"].curves
    assert curves[0].mean[0] == pytest.approx(0.0, abs=1e-9)
    best = [c.x[c.mean.argmin()] for c in curves]
    assert best[0] == 0 < best[2] < best[3]
    assert best[-1] > 0.5
    # With λ = 1 the critic cancels but for the decision's own state: more than the episode's noise, and no less.
    assert all(c.mean[-1] >= curves[0].mean[-1] - 3 * (c.error[-1] + curves[0].error[-1]) for c in curves)


def test_the_variance_of_weights_by_sampling() -> None:
    world = make_env("gridworld")
    assert isinstance(world, Game)
    tables = enumerate_world(world)
    process, q = Decisions.of(tables), dp.value_iteration(tables, 0.95)[0]
    policy = softmax(0.3 * np.where(q > -np.inf, q, 0.0), process.legal)
    behaviour = dp.uniform_policy(tables)
    everywhere = importance_weights.weight_variance(process.transition, policy, behaviour, tables.seats >= 0)
    exact = everywhere[:, tables.starts[0]]
    played = episodes.play(process, behaviour, 40_000, 4, generator(0, "weights"))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(played.live > 0, (policy / behaviour)[played.state, played.action], 1.0)
    for number, length in enumerate((1, 2, 4)):
        square = (ratio[:length].prod(axis=0) - 1.0) ** 2
        assert abs(square.mean() - exact[number]) < 4 * square.std() / 200 + 1e-9


def test_modes_are_sought_or_covered(drawn: dict[str, Figure]) -> None:
    """The blind student nearest by the forward KL says each word as often as the teacher does on the whole; the reverse
    has two that are nearest among their neighbours, and what is learned is one of them."""
    figure = drawn["mode_seeking"]
    exact = enumerate_answers(make_env("token_mdp:vocabulary=3,prompts=1,horizon=8"))
    teacher = np.log(0.6 * np.exp(_said_blindly(exact, 0.15)) + 0.4 * np.exp(_said_blindly(exact, 0.85)))
    ones, words = (np.array([f(answer) for answer in exact.complete]) for f in (lambda y: y.count(1), len))
    ends = np.array([answer[-1] == 2 for answer in exact.complete])
    told = {r.split(":")[0]: float(r.split(": ")[1].split()[0]) for r in figure.remarks if "of the words" in r}
    assert told["forward KL"] == pytest.approx(np.exp(teacher) @ ones / (np.exp(teacher) @ (words - ends)), abs=1e-3)
    reverse, forward = (c.mean for c in figure.panels[1].curves)
    shares = figure.panels[1].curves[0].x
    lowest = [shares[i] for i in range(1, 90) if reverse[i] < min(reverse[i - 1], reverse[i + 1])]
    assert len(lowest) == 2
    assert shares[forward.argmin()] == pytest.approx(told["forward KL"], abs=0.01)
    for way, share in zip(("from few ones", "from many"), lowest, strict=True):
        assert told[f"reverse KL, {way}"] == pytest.approx(share, abs=0.015)  # the grid, and how often it ends
    middle = {c.label: c.mean[3:6].sum() for c in figure.curves}
    assert middle["forward KL"] > 5 * middle["teacher"]
    assert middle["reverse KL, from few ones"] < middle["teacher"]
    assert all(c.mean.sum() == pytest.approx(1.0) for c in figure.curves)


def _said_blindly(exact: Answers, ones: float) -> Reals:
    """log of how likely each answer is, by hand."""
    words = np.array([0.98 * (1 - ones), 0.98 * ones, 0.02])
    return np.array([np.log(words[list(answer)]).sum() for answer in exact.complete])


def test_commands(tmp_path: Any) -> None:
    listed = CliRunner().invoke(app, ["figures"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in figures())
    done = CliRunner().invoke(app, ["figure", "importance-weights", "--quick", "--out", str(tmp_path)])
    assert done.exit_code == 0
    assert {file.name for file in tmp_path.iterdir()} == {"importance_weights.png", "importance_weights.csv"}
    with pytest.raises(UserError, match="did you mean 'cliff_walking'"):
        CliRunner().invoke(app, ["figure", "cliff_walkin"], catch_exceptions=False)
