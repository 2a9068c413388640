"""Put the tables of a full showdown into the documentation.

    elodrome showdown --full --out FOLDER
    python tools/showdown_tables.py FOLDER...

Writes ``docs/showdown.md`` with the table of every world, and in ``README.md`` those that have markers there. Where
worlds were played in several folders (``--world``), a later one's tables stand in place of an earlier one's.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from pathlib import Path
from textwrap import fill

from ship import machine

from elodrome.agents.parts.saved import replace_file
from elodrome.envs.registry import make_env
from elodrome.tournaments.plans import MOST, SCALES, SIMULATIONS, full_plan
from elodrome.tournaments.showdown import TABLES

ROOT = Path(__file__).parents[1]
MARKED = re.compile(r"<!-- showdown (.+?) -->\n.*?<!-- end -->", re.DOTALL)


def intro(found: Collection[str]) -> str:
    """How the tables came to be; found: the worlds of which there is one."""
    shares = ", ".join(f"{kind} {scale.share:g} ({scale.trainings})" for kind, scale in SCALES.items())
    most = "; ".join(f"{kind} and its presets have at most {steps:,}" for (kind, _), steps in MOST.items())
    paragraphs: tuple[str, ...] = (
        """`elodrome showdown --full` trains every kind of agent, presets too, on every world that it fits, with the
        settings that a person gets who names none; `tools/showdown_tables.py` writes this page from its folder. What is
        new joins by itself; kinds that have come since a world was played are not in its table.""",
        f"""Each learns for a share of its own default budget; by kind of world, with the number of trainings of
        different seeds in brackets: {shares}. In worlds of others {most}. Searches have at most {SIMULATIONS}
        simulations for a move. Where agents meet they are rated by Elo (Bradley-Terry, random play at 0, the interval
        that of the distance from the mean of all). Where each plays alone all have the same dice; the interval of the
        mean return allows for trainings (Student's t) and games.""",
        """The predictions (`td`, `n_step_td`, `td_lambda`, `lambda_return`, `monte_carlo_prediction`,
        `policy_evaluation`) learn what a policy is worth that they are given, here random play, and play by it: their
        rows tell how well that does. Decisions are the learner's own, of one training, and seconds those of one core"""
        f" ({machine()}).",
    )
    missing = [world for stage in full_plan().stages if (world := make_env(stage.world).id) not in found]
    if missing:
        paragraphs += (f"The command trains on these too, whose tables are not here yet: {', '.join(missing)}.",)
    return "# Every agent on every world\n\n" + "\n\n".join(fill(" ".join(p.split()), 120) for p in paragraphs) + "\n"


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    found: dict[str, str] = {}
    for folder in sys.argv[1:]:
        tables = (Path(folder) / TABLES).read_text(encoding="utf-8")
        found |= {match[1]: match[0] for match in MARKED.finditer(tables)}
    planned = [make_env(stage.world).id for stage in full_plan().stages]
    shown = [world for world in planned if world in found] + [world for world in found if world not in planned]
    parts = [intro(found), *(f"## {world}\n\n{found[world]}\n" for world in shown)]
    replace_file(ROOT / "docs" / "showdown.md", "\n".join(parts).encode())
    readme = ROOT / "README.md"
    text = MARKED.sub(lambda match: found.get(match[1], match[0]), readme.read_text(encoding="utf-8"))
    replace_file(readme, text.encode())


if __name__ == "__main__":
    main()
