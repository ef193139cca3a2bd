"""The solutions of a notebook's exercises, as the tests of its checks want them."""

from __future__ import annotations

import runpy
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "notebooks" / "solutions"


def solutions(number: str) -> dict:
    """The answers of a notebook, such as "03", by exercise. Their folder is no package."""
    return runpy.run_path(str(FOLDER / f"nb{number}.py"))["SOLUTIONS"]
