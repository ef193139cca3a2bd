"""Talking to base, SFT and RLHF side by side: their answers, and the talk in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlhf_tutorial import sampling
from rlhf_tutorial.presets import get_preset
from rlhf_tutorial.reported_artefacts import artefacts_of
from rlhf_tutorial.reporting import read_report
from rlhf_tutorial.stages import Artefact, read_stage
from rlhf_tutorial.village import prompts
from rlhf_tutorial.village.vocabulary import unknown_words
from rlhf_tutorial.visible_text import harmless

NAMES = {"base": "base", "sft": "SFT", "rlhf": "RLHF"}

# stage -> model and tokenizer
Models = Mapping[str, tuple[Any, Any]]


def _finished(folder: Path) -> list[tuple[dict, Path]]:
    """What each finished stage says of itself, with its folder; the newest last."""
    files = sorted(folder.glob("*/stage.json"), key=lambda path: path.stat().st_mtime)
    return [(read_stage(path.parent), path.parent) for path in files]


def _last_run(folder: Path, finished: list[tuple[dict, Path]]) -> tuple[str, int] | None:
    """Preset and seed of the folder's report, else of its newest RLHF model."""
    if (folder / "report.json").exists():
        about = read_report(folder)
        return about["preset"], about["seed"]
    policies = [about for about, _ in finished if about["stage"] == "rlhf"]
    return (policies[-1]["preset"], policies[-1]["seed"]) if policies else None


def _newest_of_last_run(folder: Path) -> dict[str, Path]:
    """Stage -> its newest folder, all of one preset and seed."""
    finished = _finished(folder / "artefacts")
    run = _last_run(folder, finished)
    return {
        about["stage"]: path for about, path in finished if (about["preset"], about["seed"]) == run
    }


def find_models(folder: Path | str) -> dict[str, Artefact]:
    """The base, SFT and RLHF model that a folder's report is about.

    Without a report that says so they are the newest ones, all three of one preset and seed, also
    where several runs share the folder.

    Raises:
        ValueError: the folder holds no finished run, or a damaged one.
    """
    folder = Path(folder)
    paths = artefacts_of(folder)
    if not set(NAMES) <= set(paths):
        paths = _newest_of_last_run(folder)
    missing = [name for name in NAMES if name not in paths]
    if missing:
        raise ValueError(
            f"{folder} has no finished stage {', '.join(missing)}: "
            f"make it with python -m rlhf_tutorial run --out {folder}"
        )
    return {name: _artefact(paths[name]) for name in NAMES}


def _artefact(path: Path) -> Artefact:
    about = read_stage(path)
    return Artefact(about["stage"], about["round"], path, about["seconds"], [])


def load(artefacts: Mapping[str, Artefact]) -> dict[str, tuple[Any, Any]]:
    """The models that answer, each with its tokenizer."""
    return {name: (artefact.model(), artefact.tokenizer()) for name, artefact in artefacts.items()}


def answers(
    models: Models,
    prompts: Sequence[str],
    *,
    seed: int,
    temperature: float = 1.0,
    max_new_tokens: int = 56,
) -> dict[str, list[str]]:
    """One reply of each model to each prompt; the base model goes on from the bare text.

    Raises:
        ValueError: a prompt too long for the models, or a temperature that is not above 0.
    """
    return {
        name: sampling.sample(
            model,
            tokenizer,
            prompts,
            max_new_tokens=max_new_tokens,
            seed=seed,
            temperature=temperature,
            chat=name != "base",
        ).texts
        for name, (model, tokenizer) in models.items()
    }


def converse(folder: Path | str, *, seed: int = 0, temperature: float = 1.0) -> int:
    """Reads prompts from standard input until an empty line or the end; prints three replies.

    Raises:
        ValueError: no finished run in the folder, or a temperature that is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"--temperature is {temperature}: it must be above 0")
    artefacts = find_models(folder)
    about = read_stage(artefacts["rlhf"].path)
    longest = get_preset(about["preset"]).max_new_tokens
    models = load(artefacts)
    print("Ask something, or press Enter to stop. Some ideas:")
    for prompt in prompts.draw_prompts(4, split="test", seed=seed):
        print(f"  {prompt.text}")
    turn = 0
    while True:
        try:
            text = input("\nyou:  ").strip()
        except (EOFError, KeyboardInterrupt):
            print()
            return 0
        if not text:
            return 0
        strangers = unknown_words(text)
        if strangers:
            print(f"      (the village does not know: {harmless(', '.join(strangers))})")
        try:
            replies = answers(
                models,
                [text],
                seed=seed + turn,
                temperature=temperature,
                max_new_tokens=longest,
            )
        except ValueError as error:
            print(f"      {error}")
        else:
            for name, (reply,) in replies.items():
                line = reply.replace("\n", " ↵ ")
                print(f"{NAMES[name] + ':':6}{harmless(line)}")
        turn += 1
