"""What there is: worlds and agents, and whether they conform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from elodrome.cli.options import AsJson, Bounds, Env, Isolate, Spec, the_world
from elodrome.console import print_json, print_table, say

if TYPE_CHECKING:
    from elodrome.envs.game import World


def envs(as_json: AsJson = False) -> None:
    """List the worlds."""
    from elodrome.envs.registry import PREFIXES, entries

    found, problems = entries()
    if as_json:
        print_json(
            {
                "envs": [{"id": e.id, "summary": e.summary, "origin": e.origin} for e in found.values()],
                "prefixes": list(PREFIXES),
                "broken": problems,
            }
        )
        return
    print_table("Worlds", ["id", "what it is", "from"], [[e.id, e.summary, e.origin] for e in found.values()])
    say("and any world of others: gymnasium:CartPole-v1, pettingzoo:classic/connect_four_v3, open_spiel:kuhn_poker")
    _problems("plugin", problems)


def agents(
    env: Annotated[str | None, typer.Option("--env", help="only those that fit")] = None, as_json: AsJson = False
) -> None:
    """List the agents by chapter; with --env, those that fit a world, and the ones trained for it."""
    from elodrome.agents.specs import kinds

    found, problems = kinds()
    world = the_world(env) if env else None
    listed = sorted(found.values(), key=lambda k: (k.about.chapter, k.id))
    if world is not None:
        from elodrome.agents.specs import unfit

        listed = [k for k in listed if unfit(k.about, world) is None]
    saved = _saved_agents(world) if world is not None else []
    if as_json:
        print_json(
            {
                "agents": [
                    {"id": k.id, "chapter": k.about.chapter, "summary": k.about.summary, "origin": k.origin}
                    for k in listed
                ],
                "trained": saved,
                "broken": problems,
            }
        )
        return
    title = f"Agents that fit {world.id}" if world is not None else "Agents"
    rows = [[k.about.chapter, k.id, k.about.summary, k.origin] for k in listed]
    print_table(title, ["chapter", "id", "what it is", "from"], rows)
    if saved:
        rows = [
            [
                *(s["name"], s["kind"], f"{s['steps']:,}", "" if s["elo"] is None else f"{s['elo']:.0f}"),
                "elodrome" if s["shipped"] else "you",
            ]
            for s in saved
        ]
        print_table("Trained for it", ["name", "kind", "steps", "Elo", "from"], rows, right=(2, 3))
    _problems("plugin", problems)


def _saved_agents(world: World) -> list[dict[str, Any]]:
    from elodrome.agents.parts.saved import saved_agents

    return [
        {"name": a.name, "kind": a.card.kind, "steps": a.card.steps, "elo": a.elo, "shipped": a.shipped}
        for a in saved_agents(world)
    ]


def _problems(what: str, problems: dict[str, str]) -> None:
    for name, reason in problems.items():
        say(f"elodrome: {what} {name} is skipped: {reason}", error=True)


def check_env(name: Annotated[str, typer.Argument(help="world")]) -> None:
    """Check a world: exit code 0 when it conforms, 1 with the findings when it does not."""
    from elodrome.envs.check import check_env as check

    _findings(f"world {name}", check(the_world(name), name))


def check_agent(spec: Spec, env: Env, isolate: Isolate = None, limits: Bounds = "") -> None:
    """Check an agent on a world: exit code 0 when it conforms, 1 with the findings when it does not.

    One of a file or plugin is checked in a process of its own: if it hangs or ends that process, it is a finding. One
    that learns has the time to load from each report to the next.
    """
    from elodrome.agents.isolation.isolated import Isolation, check_seated
    from elodrome.agents.specs import runs_code

    if origin := runs_code(spec):
        say(f"{origin} runs with your rights: it can read, change and send whatever you can; load only what you trust")
    _findings(f"agent {spec} on {env}", check_seated(spec, the_world(env), Isolation.parse(isolate, limits)))


def _findings(what: str, findings: list[str]) -> None:
    for finding in findings:
        say(f"- {finding}")
    say(f"{what}: {'conforms' if not findings else f'{len(findings)} finding(s)'}")
    if findings:
        raise typer.Exit(1)
