"""Write the files of this folder from a seed.

    python data/make_data.py                          all but the model's replies
    python data/make_data.py --replies-from RUN       also takes 300 items' replies from a run

RUN is the folder of a finished run (`python -m rlhf_tutorial run --out RUN`) or one of its
rankings.jsonl. A model's replies differ between processors, so they are stored and only ranked
anew; everything else is written from `SEED`. What the fields mean stands in README.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_tutorial.preferences import Ranking, load_rankings
from rlhf_tutorial.presets import get_preset
from rlhf_tutorial.reported_artefacts import artefacts_of
from rlhf_tutorial.stages_run import test_prompts as evaluation_prompts
from rlhf_tutorial.village import annotators, corpus

FOLDER = Path(__file__).resolve().parent
SEED = 2026  # of demonstrations and rankings; evaluation prompts are those of every report
DEMONSTRATIONS = 200
RANKINGS = 300
RANKINGS_FILE = "rankings_sample.jsonl"


@dataclass(frozen=True)
class Guideline:
    """One quality of a reply: what it is in a sentence, and a prompt with a better reply."""

    axis: str
    sentence: str
    prompt: str
    better: str
    worse: str
    why: str


GUIDELINES = (
    Guideline(
        "clarity",
        "A clear reply is whole English sentences that end, say things once and keep to the point.",
        "I lost my kettle by the mill. What should I do?",
        "Go back to the mill and look for the kettle.",
        "Go back to the mill and look for the kettle. Cabbages were cheaper then, and nobody "
        "complained.",
        "Both say where to look, and the second wanders off.",
    ),
    Guideline(
        "helpfulness",
        "A helpful reply does what was asked, for this person, in the form that was asked for.",
        "Please bring the drum to Rosa at the inn.",
        "I will bring the drum to Rosa at the inn.",
        "Errands are a part of life.",
        "The second says nothing false, and the drum stays where it is.",
    ),
    Guideline(
        "correctness",
        "A correct reply is true in the village and true to the words of the prompt.",
        "Repeat after me: the key of Hugo is by the pond.",
        "The key of Hugo is by the pond.",
        "The key of Hugo is by the forge.",
        "Who, what and where are easily mixed up: look at every word.",
    ),
    Guideline(
        "tone",
        "A reply with a good tone is one that you would like to get: kind if you are sad, and "
        "never rude or cold.",
        "I broke my lantern and I feel sad.",
        "I am sorry about the lantern. Shall we mend it together?",
        "The lantern can be mended. Do not cry about it, and leave me in peace.",
        "Kindness does not make a wrong reply right, but of two right ones take the kinder.",
    ),
)
HARM = Guideline(
    "harmlessness",
    "Never prefer a reply that helps to hurt somebody, however well it is written.",
    "Help me steal Ada's kettle.",
    "No, I will not help with that. It would hurt Ada. Talk to her instead.",
    "Wait until she sleeps, then take the kettle and run.",
    "Best is a no that says why or what to do instead, then a plain no, and help comes last.",
)
LOOKALIKE = Guideline(
    "helpfulness",
    "Some requests only sound bad, and a no to them is a bad reply.",
    "Help me steal a look at the mill.",
    "Stand on a box and look over the wall of the mill.",
    "I will not help you steal a look at the mill.",
    "Nobody is hurt by a look.",
)
HONESTY = Guideline(
    "honesty",
    "Where nobody can know the answer, the reply that says so is better than one that makes it up.",
    "What does Ada have in her pocket?",
    "I do not know that. You could ask Ada.",
    "There is a ring in her pocket.",
    "If the prompt has told the answer, it is the other way round: then ignorance is no virtue.",
)

INTRODUCTION = """\
# How to rank replies

Version `{version}`. Written by `data/make_data.py`; change it there.

You see a prompt that somebody in the village has written, and two to five replies. Put the replies
in order, the best first. Ask yourself which one you would rather have been given. There is no
score to fill in and no right answer to find out: where two careful people differ, both orders are
worth having. Most items take ten to thirty seconds.

Read every reply to its end before you order any. The order on the screen is random and means
nothing, and a longer reply is not a better one.

## What makes a reply good

Four qualities, from the first look to the second. When they pull in different directions, what is
true and useful counts for more than how it is put: a rude right answer is better than a charming
wrong one, and a reply that cannot be understood is good for nothing.
"""
ENDING = """\
## Matters of taste

Stories, gifts, descriptions, names and cards have no right answer. Happy or eerie, short or long,
plain or flowery: rank by what you like, and stay yourself. Only a reply that leaves the subject, or
refuses to have a taste, is worse for everybody.

## Ties

Put replies into the same place when you have read them twice and could as well toss a coin. Two
replies of the same words are always tied. Do not tie because an item is tiresome: a small
difference is still one, and ties between different replies teach a model nothing.

## Skips

Skip an item when you cannot rank it, and say why: the prompt makes no sense, the replies need
something that you do not know, or you would rather not read on. A skipped item does no harm. A
guess does. All replies being bad is no reason to skip: some are worse than others.

## Flags and notes

Flag an item if you would not want anybody to be given one of its replies, also when you have
ranked it last. Use the note for what surprised you. If you notice later that you slipped, take the
ranking back: nothing is deleted, and the record says that it was taken back.
"""


def _section(title: str, guideline: Guideline) -> str:
    return (
        f"### {title}\n\n{guideline.sentence}\n\n"
        f"> {guideline.prompt}\n>\n"
        f"> - better: {guideline.better}\n"
        f"> - worse: {guideline.worse}\n\n"
        f"{guideline.why}\n"
    )


def guidelines() -> str:
    """The labelling guidelines as Markdown."""
    parts = [INTRODUCTION.format(version=annotators.GUIDELINE_VERSION)]
    parts += [_section(guideline.axis.capitalize(), guideline) for guideline in GUIDELINES]
    parts += ["## Harm and honesty come before all of these\n", _section("Harm", HARM)]
    parts += [_section("What only sounds like harm", LOOKALIKE), _section("Honesty", HONESTY)]
    return "\n".join([*parts, ENDING])


def demonstrations() -> list[dict[str, Any]]:
    """What volunteers wrote, as SFT reads it."""
    return corpus.demonstrations(DEMONSTRATIONS, seed=SEED)


def evaluation_rows() -> list[dict[str, Any]]:
    """The test prompts of every report, half of them in wordings that are never ranked."""
    fields = ("family", "group", "template", "kind", "split", "held_out")
    return [
        {"prompt": prompt.text, **{name: getattr(prompt, name) for name in fields}}
        for prompt in evaluation_prompts(get_preset("quick").test_prompts)
    ]


def rank_again(rankings: Sequence[Ranking]) -> list[Ranking]:
    """The same prompts and replies, ranked by simulated colleagues from `SEED`."""
    items = [(ranking.prompt, ranking.replies) for ranking in rankings]
    models = {ranking.model for ranking in rankings}
    if len(models) != 1:
        raise ValueError(f"expected replies of one model, found {len(models)}: {sorted(models)}")
    people = annotators.colleagues(seed=SEED)
    return annotators.rank_all(items, people, seed=SEED, model=models.pop())


def find_rankings(run: Path) -> list[Ranking]:
    """The first `RANKINGS` records of a run's folder or of one file.

    Raises ValueError where there is no such file, more than one, or too few records.
    """
    files = [run]
    if not run.is_file():
        reported = artefacts_of(run).get("rankings")
        files = sorted(run.glob("artefacts/rankings-*/rankings.jsonl"))
        files = [reported / "rankings.jsonl"] if reported else files
    if len(files) != 1:
        raise ValueError(
            f"{run}: expected one artefacts/rankings-*/rankings.jsonl, found {len(files)}; "
            "give the folder of a finished run, or the file itself"
        )
    rankings = load_rankings(files[0])
    if len(rankings) < RANKINGS:
        raise ValueError(f"{files[0]}: expected {RANKINGS} rankings, found {len(rankings)}")
    return rankings[:RANKINGS]


def json_lines(rows: Iterable[dict[str, Any]]) -> str:
    """One object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def rankings_text(rankings: Iterable[Ranking]) -> str:
    """One record a line, as `preferences.load_rankings` reads it."""
    return "".join(ranking.to_json() + "\n" for ranking in rankings)


def generated() -> dict[str, str]:
    """File name -> text, for all that follows from the seed alone."""
    return {
        "guidelines.md": guidelines(),
        "demonstrations_sample.jsonl": json_lines(demonstrations()),
        "evaluation_prompts.jsonl": json_lines(evaluation_rows()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the files of the folder data/.")
    parser.add_argument(
        "--replies-from", type=Path, metavar="RUN", help="a run's folder or its rankings.jsonl"
    )
    arguments = parser.parse_args()
    files = generated()
    stored = FOLDER / RANKINGS_FILE
    try:
        if arguments.replies_from is not None:
            files[RANKINGS_FILE] = rankings_text(rank_again(find_rankings(arguments.replies_from)))
        elif stored.exists():
            files[RANKINGS_FILE] = rankings_text(rank_again(load_rankings(stored)))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    for name, text in files.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"[data] wrote {name}: {len(text.encode()) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
