"""Stages: the chain base -> SFT -> rankings -> reward model -> PPO, built where missing.

``load_or_build("reward_model", preset="quick", seed=0)`` gives the artefact of a stage. An
artefact is a folder whose name carries a hash of everything that made it: settings, seed,
the keys of the stages before it, and the source code of the package. So a stale artefact is
never used. A stage is built in a temporary folder that is renamed when complete: whatever
interrupts it, nothing half-written is left where it could be taken for whole. What a killed
process could not clear away goes at the next build.

Layout: ``FOLDER/sft-3f2a91c04d/`` holds the model or records of a stage, ``stage.json`` (what
made it, seconds) and ``history.json`` (the table of its curves).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlhf_tutorial.own_rankings import check_rankings_file
from rlhf_tutorial.presets import Preset, get_preset
from rlhf_tutorial.progress import stage_bar
from rlhf_tutorial.reporting_machine import peak_rss_mb
from rlhf_tutorial.stages_code import code_hash
from rlhf_tutorial.stages_disk import clear_partial_folders, full_disk, is_full_disk, partial_of
from rlhf_tutorial.whole_file import write_whole

LABELS = {
    "base": "pretraining",
    "sft": "SFT",
    "rankings": "preferences",
    "reward_model": "reward model",
    "best_ranked_sft": "best-ranked",
    "rlhf": "PPO",
}
# What each stage is made from. In round 2 and later, rankings are of the policy before, and
# PPO goes on from it.
PARENTS = {
    "base": (),
    "sft": ("base",),
    "rankings": ("sft",),
    "reward_model": ("sft", "rankings"),
    "best_ranked_sft": ("sft", "rankings"),
    "rlhf": ("sft", "reward_model"),
}
STAGES = tuple(PARENTS)
MY_SHARE = 0.25  # a half took one seed of five far astray (docs/trials.md, "Few rankings")
ROUNDS_OF = ("rankings", "reward_model", "rlhf")  # the stages that every turn of the loop repeats


@dataclass(frozen=True)
class Request:
    """What somebody asks for: a preset with a seed, with or without own rankings.

    Args:
        preset_name: quick, full or tiny.
        seed: of everything random.
        folder: where artefacts are kept.
        my_rankings_file: one's own rankings beside the colleagues', hashed in keys; empty without.
        my_share: how much of what the reward model reads is one's own, from 0 to below 1; a
            ranking is read up to `stages_build.MOST_COPIES` times for it.
        show_progress: True or False to force progress bars on or off; None asks the terminal.

    Raises:
        ValueError: unknown preset, a share out of range, or a file of rankings that is damaged
            or empty.
    """

    preset_name: str
    seed: int
    folder: Path
    my_rankings_file: str = ""
    my_share: float = MY_SHARE
    show_progress: bool | None = None

    def __post_init__(self) -> None:
        get_preset(self.preset_name)
        if not 0 <= self.my_share < 1:
            raise ValueError(f"my_share is {self.my_share}: it must be at least 0 and below 1")
        if self.my_rankings_file:
            check_rankings_file(self.my_rankings_file)

    @property
    def preset(self) -> Preset:
        """The settings behind the name."""
        return get_preset(self.preset_name)


@dataclass(frozen=True)
class Artefact:
    """A finished stage on disk."""

    stage: str
    round: int
    path: Path
    seconds: float
    history: list[dict]

    def model(self):
        """The stage's model: a language model, or the reward model."""
        from rlhf_tutorial import models

        if self.stage == "reward_model":
            return models.load_reward_model(self.path, self.tokenizer())
        return models.load_language_model(self.path, self.tokenizer())

    def tokenizer(self):
        """The tokenizer, which travels with every model."""
        from rlhf_tutorial.tokenizer import load_tokenizer

        return load_tokenizer(self.path)


def default_folder() -> Path:
    """Where artefacts live unless said otherwise: ``RLHF_TUTORIAL_HOME`` or the user's cache."""
    home = os.environ.get("RLHF_TUTORIAL_HOME")
    return Path(home) if home else Path.home() / ".cache" / "rlhf_tutorial"


def load_or_build(
    stage: str,
    *,
    preset: str = "quick",
    seed: int = 0,
    folder: Path | str | None = None,
    round: int = 1,
    my_rankings: Path | str | None = None,
    my_share: float = MY_SHARE,
    progress: bool | None = None,
) -> Artefact:
    """`build` in one call; arguments as in `Request`.

    Args:
        folder: where artefacts are kept; ``default_folder()`` if None.
        my_rankings: the file of one's own rankings, if any.
        progress: True or False to force progress bars on or off; None asks the terminal.
    """
    kept = Path(folder or default_folder())
    return build(
        Request(preset, seed, kept, str(my_rankings or ""), my_share, progress), stage, round
    )


def build(request: Request, stage: str, round: int = 1) -> Artefact:
    """The artefact of a stage, with its ancestors built when missing.

    Args:
        stage: base, sft, rankings, reward_model, best_ranked_sft or rlhf.
        round: 1, or more for further turns of the loop (base and SFT are made once).

    Raises:
        ValueError: unknown stage, or a round below 1.
        OSError: the folder cannot be written, or the disk is full.
    """
    return _load_or_build(request, stage, _round_of(stage, round))


def missing(request: Request, stage: str, round: int = 1) -> list[str]:
    """The stages that `build` would build, in that order; raises ValueError as it does."""
    wanted: dict[tuple[str, int], None] = {}

    def visit(stage: str, round: int) -> None:
        if not (_folder_of(request, stage, round) / "stage.json").exists():
            for parent, parent_round in parents_of(stage, round):
                visit(parent, parent_round)
            wanted[stage, round] = None

    visit(stage, _round_of(stage, round))
    return [name for name, _ in wanted]


def _round_of(stage: str, round: int) -> int:
    """The round in which a stage is made: base and SFT only in the first one."""
    if stage not in PARENTS:
        raise ValueError(f"unknown stage {stage!r}: choose one of {', '.join(STAGES)}")
    if round < 1:
        raise ValueError(f"round is {round}: it must be at least 1")
    return round if stage in ROUNDS_OF else 1


def _load_or_build(request: Request, stage: str, round: int) -> Artefact:
    target = _folder_of(request, stage, round)
    if not (target / "stage.json").exists():
        ancestors = {
            parent: _load_or_build(request, parent, parent_round)
            for parent, parent_round in parents_of(stage, round)
        }
        from rlhf_tutorial.stages_build import BUILDERS

        _build(request, stage, round, target, ancestors, BUILDERS[stage])
    about, history = read_stage(target), json.loads((target / "history.json").read_text())
    return Artefact(stage, round, target, about["seconds"], history)


def read_stage(folder: Path) -> dict:
    """What a finished stage says of itself; ValueError that says what to do if it is damaged."""
    try:
        return json.loads((folder / "stage.json").read_text(encoding="utf-8"))
    except ValueError:
        told = f"{folder / 'stage.json'} is damaged: remove {folder}, and it is built again"
        raise ValueError(told) from None


def _folder_of(request: Request, stage: str, round: int) -> Path:
    turn = f"-round{round}" if round > 1 else ""
    return request.folder / f"{stage}{turn}-{key_of(request, stage, round)}"


def parents_of(stage: str, round: int) -> list[tuple[str, int]]:
    """The stages, with their rounds, that a stage of a round is made from."""
    if round == 1:
        return [(parent, 1) for parent in PARENTS[stage]]
    return {
        "rankings": [("sft", 1), ("rlhf", round - 1), ("rankings", round - 1)],
        "reward_model": [("sft", 1), ("rankings", round)],
        "rlhf": [("sft", 1), ("reward_model", round), ("rlhf", round - 1)],
    }[stage]


def key_of(request: Request, stage: str, round: int) -> str:
    """Ten hexadecimal digits that change with anything the stage depends on."""
    preset = asdict(request.preset)
    own = {
        "base": ("size", "vocabulary", "pretraining"),
        "sft": ("demonstrations", "reviews", "sft"),
        "rankings": ("rankings", "held_out_rankings", "replies_per_prompt", "max_new_tokens"),
        "reward_model": ("reward",),
        "best_ranked_sft": ("best_ranked",),
        "rlhf": ("ppo", "ppo_prompts"),
    }[stage]
    told = {
        "stage": stage,
        "round": round,
        "seed": request.seed,
        "settings": {name: preset[name] for name in own},
        "parents": [key_of(request, parent, r) for parent, r in parents_of(stage, round)],
        "code": code_hash(),
    }
    if stage == "reward_model" and request.my_rankings_file:
        told["my_share"] = request.my_share
    if stage == "rankings" and request.my_rankings_file:
        told["mine"] = hashlib.sha256(Path(request.my_rankings_file).read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:10]


Builder = Callable[[Request, int, Path, dict[str, Artefact], Any], list[dict]]


def _build(
    request: Request,
    stage: str,
    round: int,
    target: Path,
    ancestors: dict[str, Artefact],
    builder: Builder,
) -> None:
    """Builds into a temporary folder beside the target and renames it when complete."""
    label = LABELS[stage] + (f" {round}" if round > 1 else "")
    clear_partial_folders(request.folder)
    partial = partial_of(target)
    started = time.perf_counter()
    try:
        partial.mkdir(parents=True)
        with stage_bar(
            label, disable=None if request.show_progress is None else not request.show_progress
        ) as bar:
            history = builder(request, round, partial, ancestors, bar)
        about = {
            "stage": stage,
            "round": round,
            "preset": request.preset_name,
            "seed": request.seed,
            "seconds": round_seconds(time.perf_counter() - started),
            "peak_rss_mb": float(f"{peak_rss_mb():.1f}"),
        }
        write_whole(partial / "history.json", [json.dumps(history)])
        write_whole(partial / "stage.json", [json.dumps(about, indent=1)])
        if (target / "stage.json").exists():  # another process was quicker: theirs may be in use
            return
        if target.exists():  # without stage.json: not ours to trust
            shutil.rmtree(target)
        partial.rename(target)
    except Exception as error:
        if is_full_disk(error):
            raise full_disk(f"the stage {label} was not kept", request.folder) from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def round_seconds(seconds: float) -> float:
    """Seconds to a tenth: more digits would promise more than a clock keeps."""
    return float(f"{seconds:.1f}")
