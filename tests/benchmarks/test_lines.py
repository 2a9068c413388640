"""Lines of code as one counts them by hand."""

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "lines.py"
SOURCE = '''"""What it is,

said in three lines."""

import os  # a statement all the same

ABOUT = {
    # a comment
    "cls": "X",
}


class X:
    """Short."""

    TEXT = """not
    a docstring"""

    def f(self):
        """Of a
        function."""
        return os
'''


def test_statements_count_and_what_is_said_of_them_does_not():
    spec = importlib.util.spec_from_file_location("lines", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # import, ABOUT (3), class, TEXT (2), def, return
    assert module.lines(SOURCE) == (22, 9)
    assert module.is_algorithm("value/x.py", SOURCE)
    assert not module.is_algorithm("parts/x.py", SOURCE)
    assert not module.is_algorithm("value/x.py", SOURCE.replace("ABOUT", "OTHER"))
