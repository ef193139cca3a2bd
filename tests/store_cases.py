"""What the tests of the store share: records, ids of a file, system calls that fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rlhf_tutorial.preferences import Ranking, load_rankings

HERE = Path(__file__).parent
posix_only = pytest.mark.skipif(os.name != "posix", reason="signals and file modes of POSIX")


def ranking(name: str, **changes) -> Ranking:
    values = {"id": name, "prompt": "Where?", "replies": ["Here.", "There."], "tiers": [[1], [0]]}
    return Ranking(**(values | changes))


def ids(path) -> list[str]:
    return [record.id for record in load_rankings(path)]


def failing(code: int):
    """A system call that always fails."""

    def fail(*_):
        raise OSError(code, os.strerror(code))

    return fail
