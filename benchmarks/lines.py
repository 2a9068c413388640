"""Lines of each algorithm's file before the learning rooms were rebuilt and after, and of the rooms around them.

    python benchmarks/lines.py [--before 43b9ede^] [--after HEAD]

Read from git, so that nothing but a clone with its history is needed. Raw lines are the file's; lines of code are those
on which a statement or a part of one stands: no blank, comment or docstring. An algorithm is a file of a family that
names itself to the registry (``ABOUT``); one that had no file before is new.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import subprocess
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

AGENTS = "elodrome/agents"
FAMILIES = ("tabular", "value", "policy", "planning", "games", "text")
ROOMS = ("ops", "parts", "search", *FAMILIES)
SILENT = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}


def git(*words: str) -> str:
    """What git answers in the clone that this file stands in."""
    return subprocess.run(
        ["git", *words], cwd=Path(__file__).parent.parent, check=True, capture_output=True, text=True
    ).stdout


def lines(source: str) -> tuple[int, int]:
    """Raw lines and lines of code."""
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT:
            code |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            text = node.body[0]
            code -= set(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return len(source.splitlines()), len(code)


def files(commit: str) -> Iterator[tuple[str, str]]:
    """(path within the agents' floor, source) of every file of a room as of a commit."""
    for path in git("ls-tree", "-r", "--name-only", "--full-tree", commit, AGENTS).split():
        short = path.removeprefix(f"{AGENTS}/")
        if short.partition("/")[0] in ROOMS and path.endswith(".py"):
            yield short, git("show", f"{commit}:{path}")


def is_algorithm(short: str, source: str) -> bool:
    """Whether a file is of a family and names itself to the registry."""
    told = any(
        isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "ABOUT" for t in node.targets)
        for node in ast.parse(source).body
    )
    return told and short.partition("/")[0] in FAMILIES


def change(before: int | None, after: int) -> str:
    """From one number to another, for people."""
    return f"new, {after}" if before is None else f"{before} -> {after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", default="43b9ede^")
    parser.add_argument("--after", default="HEAD")
    given = parser.parse_args()
    then, now = dict(files(given.before)), dict(files(given.after))
    before, after = ({short: lines(source) for short, source in found.items()} for found in (then, now))
    algorithms = [short for short, source in now.items() if is_algorithm(short, source)]
    print("| algorithm | lines | lines of code |\n|---|---|---|")
    for short in algorithms:
        old, (raw, code) = before.get(short), after[short]
        print(f"| {short.removesuffix('.py')} | {change(old and old[0], raw)} | {change(old and old[1], code)} |")
    totals = []
    for counts in (before, after):
        rooms: Counter[str] = Counter()
        for short, (_, code) in counts.items():
            rooms[short.partition("/")[0]] += code
        totals.append(rooms)
    known = [sum(is_algorithm(*entry) for entry in found.items()) for found in (then, now)]
    print("\n| room | lines of code |\n|---|---|")
    for room in ROOMS:
        print(f"| {room} | {change(totals[0].get(room), totals[1][room])} |")
    print(f"| all, with {known[0]} -> {known[1]} algorithms | {change(totals[0].total(), totals[1].total())} |\n")
    print(json.dumps({"benchmark": "lines", "before": before, "after": after, "algorithms": algorithms}))


if __name__ == "__main__":
    main()
