"""Tournaments that are killed, interrupted, resumed, shared out, and whose agents misbehave (FAULTS 1-5, 7-12, 35)."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from elodrome.agents.isolation.isolated import Isolation
from elodrome.arena.record import GameRecord, Unplayed
from elodrome.arena.store import RESULTS, Store
from elodrome.envs.registry import make_env
from elodrome.errors import BrokenAgent, UserError
from elodrome.tournaments import pool
from elodrome.tournaments.ladder import ladders
from elodrome.tournaments.ratings import leaderboard
from elodrome.tournaments.report import Section, build_report
from elodrome.tournaments.runner import Interrupted, TournamentConfig, TournamentResult, run_tournament
from elodrome.tournaments.schedule import UNIT

OPEN = Isolation(isolate=False)  # the workers themselves are what dies here

AGENTS = '''
import os, signal, time
from pathlib import Path
from elodrome.agents.agent import Agent, Config

HERE = Path(__file__).parent

class FirstLegal(Agent):
    def choose(self, position):
        return int(position.legal_actions[0])

class Seeded(Agent):
    """Answers differently for another seed or another company in the batch."""
    def act(self, positions):
        turn = len(positions)
        return [int(p.legal_actions[(p.seed + turn) % len(p.legal_actions)]) for p in positions]

class Slow(Agent):
    def choose(self, position):
        time.sleep(0.001)
        return int(position.rng.choice(position.legal_actions))

class Crashing(Agent):
    def choose(self, position):
        raise ValueError("out of ideas")

class Unloadable(FirstLegal):
    def __init__(self, world, config):
        raise RuntimeError("no weights")

def once(name):
    try:
        (HERE / name).touch(exist_ok=False)
        return True
    except FileExistsError:
        return False

class DiesOnce(Slow):
    def choose(self, position):
        if position.ply > 3 and once("died"):
            os._exit(3)
        return super().choose(position)

class FallsSilent(Slow):
    def choose(self, position):
        if position.ply > 3 and once("silent"):
            os.kill(os.getpid(), signal.SIGSTOP)
        return super().choose(position)

class Dies(Agent):
    def choose(self, position):
        os._exit(3)
'''


@pytest.fixture
def agents(tmp_path: Path) -> Callable[..., tuple[str, ...]]:
    file = tmp_path / "agents.py"
    file.write_text(AGENTS)
    return lambda *names: tuple(name if name.islower() else f"{file}:{name}" for name in names)


def config(agents: Sequence[str], games: int = 2 * UNIT + 6, **more: object) -> TournamentConfig:
    labels = tuple(spec.rpartition(":")[2] for spec in agents)
    fields = {"env": "tic_tac_toe", "agents": agents, "labels": labels, "games": games, "seed": 7}
    return TournamentConfig.model_validate({**fields, **more})


def tables(result: TournamentResult) -> object:
    return leaderboard(result.records, "tic_tac_toe").document()


def test_one_and_two_workers_give_the_same_results(tmp_path: Path, agents: Callable[..., tuple[str, ...]]) -> None:
    setting = config(agents("random", "Seeded", "FirstLegal", "Crashing"))
    one = run_tournament(setting, tmp_path / "one", workers=1)
    two = run_tournament(setting, tmp_path / "two", workers=2)
    assert one.records == two.records
    assert len(one.records) == 6 * setting.games == one.played == two.kept
    assert tables(one) == tables(two)
    for first, second in zip(one.records, two.records, strict=True):
        assert first.model_dump() == second.model_dump()
    crashes = [r for r in one.records if "Crashing" in r.agents]
    assert {(r.termination, r.reason) for r in crashes} == {("crash", "ValueError: out of ideas (agents.py, line 25)")}
    assert all(r.agents[r.culprit or 0] == "Crashing" for r in crashes)


def test_resuming_what_is_finished_plays_nothing_and_loads_nobody(
    tmp_path: Path, agents: Callable[..., tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = config(agents("random", "FirstLegal"), games=6)
    first = run_tournament(setting, tmp_path / "out")
    monkeypatch.setattr("elodrome.tournaments.runner.load_agents", None)
    again = run_tournament(setting, tmp_path / "out", resume=True, workers=2)
    assert (first.played, again.played, again.kept) == (6, 0, 6)
    assert again.records == first.records


def test_results_without_resume_are_refused_with_the_command_that_goes_on(tmp_path: Path) -> None:
    setting = TournamentConfig(env="tic_tac_toe", agents=("random", "minimax:depth=2"), games=2)
    out = tmp_path / "my out"
    run_tournament(setting, out)
    with pytest.raises(UserError) as caught:
        run_tournament(setting, out, workers=2)
    assert str(caught.value).endswith(
        "elodrome tournament run --env tic_tac_toe --agents random,minimax:depth=2 --format round-robin "
        f"--games 2 --seed 0 --workers 2 --out '{out}' --resume"
    )


def test_another_tournament_is_refused_with_the_differences(
    tmp_path: Path, agents: Callable[..., tuple[str, ...]]
) -> None:
    out = tmp_path / "out"
    specs = agents("random", "FirstLegal")
    before = run_tournament(config(specs, games=4), out).records

    def refusal(setting: TournamentConfig, merge: bool = False) -> str:
        with pytest.raises(UserError) as caught:
            run_tournament(setting, out, resume=True, merge=merge)
        assert Store(out / "results.sqlite").games() == before
        return str(caught.value)

    for merge in (False, True):
        assert "seed was 7, now 8" in refusal(config(specs, games=4, seed=8), merge)
        assert "env was tic_tac_toe, now connect_four" in refusal(config(specs, games=4, env="connect_four"), merge)
        assert "opening was 2, now 4" in refusal(config(specs, games=4, opening=4), merge)
        assert "games was 4, now 2" in refusal(config(specs, games=2), merge)
        assert "FirstLegal is missing; Seeded is new" in refusal(config(agents("random", "Seeded"), games=4), merge)
        assert "format was round-robin, now gauntlet" in refusal(config(specs, games=4, format="gauntlet"), merge)
    assert "Seeded is new; games was 4, now 6; add --merge" in refusal(
        config(agents("random", "FirstLegal", "Seeded"), 6)
    )
    file = Path(specs[1].rpartition(":")[0])
    file.write_text(AGENTS + "\n# another version\n")
    assert "FirstLegal is not the same agent any more" in refusal(config(specs, games=4))


def test_a_tournament_grows_when_asked_and_ends_like_one_that_was_so_from_the_start(
    tmp_path: Path, agents: Callable[..., tuple[str, ...]]
) -> None:
    run_tournament(config(agents("random", "FirstLegal"), games=UNIT), tmp_path / "grown")
    large = config(agents("Seeded", "FirstLegal", "random"), games=2 * UNIT)  # in another order, too
    grown = run_tournament(large, tmp_path / "grown", resume=True, merge=True)
    whole = run_tournament(large, tmp_path / "whole")
    assert grown.played == 5 * UNIT
    assert grown.records == whole.records


def test_a_gauntlet_is_the_first_against_the_rest(tmp_path: Path, agents: Callable[..., tuple[str, ...]]) -> None:
    setting = config(agents("Seeded", "random", "FirstLegal"), games=3, format="gauntlet")
    result = run_tournament(setting, tmp_path / "out")
    pairs = {frozenset(r.agents) for r in result.records}
    assert pairs == {frozenset(("Seeded", "random")), frozenset(("Seeded", "FirstLegal"))}
    company, odd = result.remarks  # Seeded answers by who stands beside it in the batch
    assert company.startswith("Seeded is not repeatable: ")
    assert "odd number of games per pairing (3)" in odd


def test_the_one_that_does_not_load_is_named_before_the_first_game(
    tmp_path: Path, agents: Callable[..., tuple[str, ...]]
) -> None:
    for setting, named in (
        (config(agents("random", "Unloadable")), "Unloadable.*no weights.*nobody is left"),
        (config(agents("random", "Missing")), "Missing"),
    ):
        with pytest.raises(BrokenAgent, match=named):
            run_tournament(setting, tmp_path / "out", workers=2)
    with pytest.raises(BrokenAgent, match="no weights"):
        run_tournament(config(agents("random", "FirstLegal", "Unloadable")), tmp_path / "out", strict=True)
    with pytest.raises(UserError, match="did you mean 'random'"):
        run_tournament(config(("randm", "minimax")), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for specs, message in ((("random",), "at least 2"), (("random", "random"), "different names")):
        with pytest.raises(UserError, match=message):
            run_tournament(config(specs), tmp_path / "out")


def test_two_runners_on_one_folder_are_told(tmp_path: Path, agents: Callable[..., tuple[str, ...]]) -> None:
    setting = config(agents("random", "FirstLegal"), games=4)
    seen = []

    def second_runner(_: object) -> None:
        with pytest.raises(UserError, match="another tournament or showdown is running") as caught:
            run_tournament(setting, tmp_path / "out", resume=True)
        seen.append(caught.value)

    run_tournament(setting, tmp_path / "out", on_games=second_runner)
    assert seen


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(
    tmp_path: Path, agents: Callable[..., tuple[str, ...]]
) -> None:
    setting = config(agents("random", "Slow"), games=3 * UNIT)

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"games are kept.*--resume") as caught:
        run_tournament(setting, tmp_path / "out", workers=2, on_games=stop)
    kept = Store(tmp_path / "out" / "results.sqlite").ids()
    assert 0 < caught.value.kept == len(kept) < caught.value.total == 3 * UNIT
    result = run_tournament(setting, tmp_path / "out", resume=True, workers=1)
    assert result.played == 3 * UNIT - len(kept)
    assert result.records == run_tournament(setting, tmp_path / "whole").records


def test_games_of_a_worker_that_dies_or_falls_silent_go_to_another(
    tmp_path: Path, agents: Callable[..., tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SILENCE", 2.5)
    setting = config(agents("DiesOnce", "FallsSilent"), games=2 * UNIT, isolation=OPEN)
    result = run_tournament(setting, tmp_path / "out", workers=2)
    assert (tmp_path / "died").exists()
    assert (tmp_path / "silent").exists()
    assert result.played == result.kept == 2 * UNIT
    assert result.remarks == []
    assert result.records == run_tournament(setting, tmp_path / "alone").records


def test_a_game_that_kills_every_worker_is_given_up_and_the_others_go_on(
    tmp_path: Path, agents: Callable[..., tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "ATTEMPTS", 2)
    setting = config(agents("random", "FirstLegal", "Dies"), games=4, format="gauntlet", isolation=OPEN)
    result = run_tournament(setting, tmp_path / "out", workers=2)
    assert {r.agents for r in result.records} == {("FirstLegal", "random"), ("random", "FirstLegal")}
    assert result.kept == 4
    (unplayed,) = result.unplayed
    assert unplayed == Unplayed(4, "7:tic_tac_toe:Dies v random:0", "2 workers died on them (exit code 3)")
    board = leaderboard(result.records, "tic_tac_toe", setting.names(), result.unplayed)
    page = build_report([Section(make_env("tic_tac_toe"), board, result.records)], tmp_path / "out").read_text()
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["ladders"][0]["unplayed"] == [asdict(unplayed)]
    assert result.shortcomings == [str(unplayed)] == board.notes
    assert "4 games from &#39;7:tic_tac_toe:Dies v random:0&#39; on were not played: 2 workers died" in page
    (kept,) = ladders(tmp_path / "out")
    assert (kept.unplayed, kept.notes) == ([unplayed], [str(unplayed)])
    in_cells = setting.model_copy(update={"isolation": Isolation()})
    assert run_tournament(in_cells, tmp_path / "out", resume=True).kept == 8
    assert ladders(tmp_path / "out")[0].unplayed == []
    with Store(tmp_path / "out" / RESULTS) as store:
        for damaged in ([], {"unplayed": 7}, {"unplayed": [{"games": "x"}]}, {"left_out": {"a": []}}):
            store.put("missing:tic_tac_toe", damaged)
            with pytest.raises(UserError, match="not played is damaged"):
                ladders(tmp_path / "out")


RUN = """
import sys
from pathlib import Path
from elodrome.tournaments.report import Section, build_report
from elodrome.tournaments.runner import TournamentConfig, run_tournament
if __name__ == "__main__":
    config = TournamentConfig.model_validate_json(sys.argv[1])
    run_tournament(config, Path(sys.argv[2]), workers=2, resume=True)
"""


def test_kill_9_and_resume_ends_like_an_unbroken_run(tmp_path: Path, agents: Callable[..., tuple[str, ...]]) -> None:
    setting = config(agents("random", "Slow", "FirstLegal"), games=2 * UNIT)
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", RUN, setting.model_dump_json(), str(out)], stderr=subprocess.PIPE)
    store = Store(out / "results.sqlite")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (out / "results.sqlite").exists() and len(store.ids()) > 40:
            break
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[1]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    kept: dict[str, GameRecord] = {r.id: r for r in store.games()}
    store.close()
    assert 40 < len(kept) < 6 * UNIT
    resumed = run_tournament(setting, out, resume=True)
    whole = run_tournament(setting, tmp_path / "whole")
    assert resumed.played == 6 * UNIT - len(kept)
    assert {r.id: r for r in resumed.records}.items() >= kept.items()
    assert resumed.records == whole.records
    assert len({r.id for r in resumed.records}) == len(resumed.records) == 6 * UNIT
    assert tables(resumed) == tables(whole)
