"""docs/reliability.md: fifty cases, and every test that it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROWS = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8"), re.M)


def test_every_case_has_a_row() -> None:
    assert [int(number) for number, _ in ROWS] == list(range(1, 51))


def test_every_test_that_is_named_exists() -> None:
    for number, cell in ROWS:
        for part in cell.split("; "):
            file, *names = re.findall(r"`([^`]+)`", part)
            source = (ROOT / file.split()[0]).read_text(encoding="utf-8")
            missing = [name for name in names if f"def {name}(" not in source]
            assert not missing, (number, file, missing)
