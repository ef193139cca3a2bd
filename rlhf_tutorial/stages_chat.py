"""Talking to base, SFT and RLHF side by side, in a terminal."""

from __future__ import annotations

import json
from pathlib import Path

from rlhf_tutorial import sampling
from rlhf_tutorial.stages import Artefact
from rlhf_tutorial.village import prompts
from rlhf_tutorial.village.vocabulary import unknown_words

NAMES = {"base": "base", "sft": "SFT", "rlhf": "RLHF"}


def find_models(folder: Path | str) -> dict[str, Artefact]:
    """The newest base, SFT and RLHF model of a run's folder.

    Raises:
        ValueError: the folder holds no finished run.
    """
    root = Path(folder) / "artefacts"
    found: dict[str, Artefact] = {}
    for path in sorted(root.glob("*/stage.json"), key=lambda p: p.stat().st_mtime):
        about = json.loads(path.read_text())
        if about["stage"] in NAMES:
            found[about["stage"]] = Artefact(
                about["stage"], about["round"], path.parent, about["seconds"], []
            )
    missing = [name for name in NAMES if name not in found]
    if missing:
        raise ValueError(
            f"{folder} has no finished stage {', '.join(missing)}: "
            f"make it with python -m rlhf_tutorial run --out {folder}"
        )
    return {name: found[name] for name in NAMES}


def converse(folder: Path | str, *, seed: int = 0, temperature: float = 1.0) -> int:
    """Reads prompts from standard input until an empty line or the end; prints three replies."""
    artefacts = find_models(folder)
    models = {name: (a.model(), a.tokenizer()) for name, a in artefacts.items()}
    print("Ask something, or press Enter to stop. Some ideas:")
    for prompt in prompts.draw_prompts(4, split="test", seed=seed):
        print(f"  {prompt.text}")
    turn = 0
    while True:
        try:
            text = input("\nyou:  ").strip()
        except EOFError:
            return 0
        if not text:
            return 0
        strangers = unknown_words(text)
        if strangers:
            print(f"      (the village does not know: {', '.join(strangers)})")
        for name, (model, tokenizer) in models.items():
            try:
                rollout = sampling.sample(
                    model,
                    tokenizer,
                    [text],
                    seed=seed + turn,
                    temperature=temperature,
                    chat=name != "base",
                )
            except ValueError as error:
                print(f"      {error}")
                break
            print(f"{NAMES[name] + ':':6}{rollout.texts[0]}")
        turn += 1
