"""Settings of all tests: no network, no windows, no warnings about tokenizers and forks.

And the one run of all stages that several tests look at.
"""

from __future__ import annotations

import contextlib
import io
import os
from types import SimpleNamespace

import pytest

# Before any test imports transformers or matplotlib, which read these once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:  # threads of several processes would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """A whole run of the "tiny" preset with two rounds: its folder, and what it printed.

    Tests share it and must not change it: copy `artefacts/` first.
    """
    from rlhf_tutorial.cli import main

    folder = tmp_path_factory.mktemp("tiny") / "run"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = main(["run", "--preset", "tiny", "--rounds", "2", "--out", str(folder)])
    assert code == 0
    return SimpleNamespace(folder=folder, printed=printed.getvalue())
