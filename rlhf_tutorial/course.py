"""What all notebooks share: which run they belong to, its artefacts, your rankings, the map.

A notebook asks for an artefact by name. What is missing is built, with its ancestors, a progress
bar and an estimate; what is there loads in seconds. Two environment variables choose the run:
``RLHF_TUTORIAL_SEED`` and ``RLHF_TUTORIAL_PRESET``. A third one, ``RLHF_TUTORIAL_HEADLESS``, says
that nobody sits in front of the screen: then a simulated annotator stands in for the reader.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from rlhf_tutorial import plotting_loop, stages, stages_run
from rlhf_tutorial.plotting_parts import png_bytes
from rlhf_tutorial.preferences import Ranking, load_rankings

PROJECT = Path(__file__).resolve().parents[1]
READER = "reader"  # the annotator's name in the reader's own file
STAND_IN = "stand-in"  # the simulated annotator who ranks when nobody is there
# Seconds on two cores, from trial runs: only for telling people how long to wait.
ESTIMATES = {
    "quick": {"base": 130, "sft": 85, "rankings": 13, "reward_model": 24, "rlhf": 60},
    "full": {"base": 300, "sft": 90, "rankings": 6, "reward_model": 18, "rlhf": 90},
}


def seed() -> int:
    """The seed of the course, 0 unless ``RLHF_TUTORIAL_SEED`` says otherwise.

    Raises:
        ValueError: it is not a whole number.
    """
    text = os.environ.get("RLHF_TUTORIAL_SEED", "0")
    if not text.isdecimal():
        raise ValueError(f"RLHF_TUTORIAL_SEED is {text!r}: it must be a whole number, such as 3")
    return int(text)


def preset() -> str:
    """The preset of the course, quick unless ``RLHF_TUTORIAL_PRESET`` says otherwise."""
    return os.environ.get("RLHF_TUTORIAL_PRESET", "quick")


def is_headless() -> bool:
    """Whether a simulated annotator stands in for the reader (tests, CI, `make notebooks`)."""
    return os.environ.get("RLHF_TUTORIAL_HEADLESS", "") not in ("", "0")


def run_folder() -> Path:
    """The folder of the course's run: the one of `make tutorial`, or below the user's cache."""
    home = os.environ.get("RLHF_TUTORIAL_HOME")
    in_checkout = (PROJECT / "notebooks").is_dir()
    parent = Path(home) if home else PROJECT / "runs" if in_checkout else stages.default_folder()
    return stages_run.open_folder(parent / f"{preset()}-{seed()}")


def rankings_file() -> Path:
    """The one place for the reader's rankings. A stand-in has a file of its own."""
    name = f"{STAND_IN}_rankings.jsonl" if is_headless() else "my_rankings.jsonl"
    return run_folder() / name


def reader_name() -> str:
    """The annotator's name that goes with `rankings_file`."""
    return STAND_IN if is_headless() else READER


def own_rankings() -> list[Ranking]:
    """The reader's rankings so far, skips left out; empty before notebook 03."""
    file = rankings_file()
    return [r for r in load_rankings(file) if r.tiers] if file.is_file() else []


def artefact(
    stage: str, *, round: int = 1, with_mine: bool = True, my_share: float = stages.MY_SHARE
) -> stages.Artefact:
    """A stage of the course's run, built if missing; the reader's rankings join if there are any.

    Args:
        stage: base, sft, rankings, reward_model, best_ranked_sft or rlhf.
        round: the turn of the loop.
        with_mine: False leaves the reader's rankings out.
        my_share: how much of what the reward model reads is the reader's own.
    """
    mine = rankings_file() if with_mine and own_rankings() else None
    request = stages.Request(
        preset(),
        seed(),
        run_folder() / "artefacts",
        str(mine or ""),
        my_share,
        show_progress=not is_headless(),
    )
    missing = stages.missing(request, stage, round)
    if missing:
        wait = sum(ESTIMATES.get(preset(), {}).get(name, 0) for name in missing)
        names = ", ".join(stages.LABELS[name] for name in missing)
        print(f"To build first: {names}. About {max(1, math.ceil(wait / 60))} min on two cores.")
    return stages_run.build(request, stage, round)


def whose(rankings: Sequence[Ranking]) -> str:
    """One sentence that says how many rankings are the reader's and how many the colleagues'."""
    own = {ranking.id for ranking in own_rankings()}  # also those made under another name
    rankings = [ranking for ranking in rankings if ranking.tiers]  # a skip is none
    mine = sum(ranking.id in own or ranking.annotator == READER for ranking in rankings)
    if not mine:
        return f"All {len(rankings)} rankings are simulated colleagues'; notebook 03 adds yours."
    owner = "a simulated stand-in's, since nobody sits here" if is_headless() else "yours"
    return f"{mine} rankings are {owner}; {len(rankings) - mine} are simulated colleagues'."


def where_we_are(here: str = "") -> None:
    """Show the map of the loop with one station marked."""
    show(plotting_loop.loop(here), "The loop of RLHF. The marked station is this notebook's.")


def show(figure, caption: str) -> None:
    """Show a figure with the sentence that says what to see in it, also as its text for screens."""
    from IPython.display import Image, display

    # Small enough for a web viewer: a notebook holds a dozen of these.
    display(Image(png_bytes(figure, dpi=96, optimize=True), alt=caption))
    show_caption(caption)


def show_caption(caption: str) -> None:
    """Show the sentence that stands below a figure."""
    from IPython.display import HTML, display

    display(HTML(f"<p><em>{caption}</em></p>"))


def quiet() -> None:
    """Keeps the bars and notes of transformers out of the notebooks."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
