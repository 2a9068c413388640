"""The figures' numbers against published ones, exact ones, and samples; and that all of them are drawn."""

import csv
import io
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from elodrome import make_env
from elodrome.agents.parts.exact import Decisions, softmax
from elodrome.agents.tabular import dynamic_programming as dp
from elodrome.cli import app
from elodrome.envs.enumeration import enumerate_world
from elodrome.envs.game import Game
from elodrome.errors import UserError
from elodrome.figures import _episodes as episodes
from elodrome.figures import importance_weights
from elodrome.figures.figure import Curve, Figure, compute, figures, picture, table
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
    assert len(drawn) >= 8
    for name, figure in drawn.items():
        assert picture(figure).startswith(b"\x89PNG"), name
        rows = list(csv.reader(io.StringIO(table(figure).decode())))
        points = sum(len(c.x) for c in figure.curves)
        assert len(rows) == 1 + points + len(figure.levels)
        assert all(np.isfinite(float(row[2])) for row in rows[1:]), name
        assert figure.remarks


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


def test_commands(tmp_path: Any) -> None:
    listed = CliRunner().invoke(app, ["figures"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in figures())
    done = CliRunner().invoke(app, ["figure", "importance_weights", "--quick", "--out", str(tmp_path)])
    assert done.exit_code == 0
    assert {file.name for file in tmp_path.iterdir()} == {"importance_weights.png", "importance_weights.csv"}
    with pytest.raises(UserError, match="did you mean 'cliff_walking'"):
        CliRunner().invoke(app, ["figure", "cliff_walkin"], catch_exceptions=False)
