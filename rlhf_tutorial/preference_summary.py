"""What a set of preference records holds, line by line in plain text.

Counts are of rankings that still stand. Agreement is the share of reply pairs that two rankings of
one item order alike; Kendall's tau-b and Krippendorff's alpha stand beside it (`agreement.py`).
Where nothing can be compared the line says so and shows no number.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence

from rlhf_tutorial.agreement import agreement_table, alpha_of_rankings, self_agreement
from rlhf_tutorial.preference_check import sound_repeats
from rlhf_tutorial.preferences import Ranking, apply_retractions

MOST_PAIRS_OF_PEOPLE = 10  # a class of thirty has 435


def summary_lines(records: Sequence[Ranking]) -> list[tuple[str, str]]:
    """(heading, text) of each line; a heading that is empty goes on with the one before."""
    standing = sound_repeats(apply_retractions(records))
    ranked = [record for record in standing if record.skip is None]
    skipped = [record for record in standing if record.skip is not None]
    repeats = sum(record.repeat_of is not None for record in ranked)
    taken_back = sum(record.kind == "retraction" for record in records)
    lines = [
        ("rankings", f"{len(ranked)}, {repeats} of them of an item shown once more"),
        ("skipped", _counted([record.skip for record in skipped])),
        ("taken back", str(taken_back)),
        ("ties", _ties(ranked)),
        ("flags", _counted([flag for record in standing for flag in record.flags])),
        ("notes", str(sum(bool(record.note) for record in standing))),
        ("guidelines", _each([record.guideline_version or "none" for record in standing])),
        ("models", _each([record.model or "not recorded" for record in standing])),
        ("seconds an item", _seconds(ranked)),
    ]
    lines += _listed("annotators", _annotators(standing))
    lines += _listed("self-agreement", _with_oneself(ranked))
    lines += _listed("agreement", _among_people(ranked))
    return lines


def _counted(values: Sequence[str]) -> str:
    """The total and each value with its count: `3: makes no sense 2, other 1`."""
    return f"{len(values)}: {_each(values)}" if values else "0"


def _each(values: Sequence[str]) -> str:
    return ", ".join(f"{value} {count}" for value, count in Counter(values).most_common())


def _ties(ranked: Sequence[Ranking]) -> str:
    """Rankings with a tie between replies of different words; the same words are always tied."""
    tied = sum(
        any(len({ranking.replies[index] for index in tier}) > 1 for tier in ranking.tiers)
        for ranking in ranked
    )
    return f"{tied} of {len(ranked)} rankings tie replies of different words"


def _seconds(ranked: Sequence[Ranking]) -> str:
    timed = [ranking.seconds for ranking in ranked if ranking.seconds > 0]
    return f"median {statistics.median(timed):.1f}" if timed else "not recorded"


def _annotators(standing: Sequence[Ranking]) -> list[str]:
    lines = []
    for name in dict.fromkeys(record.annotator for record in standing):
        own = [record for record in standing if record.annotator == name]
        ranked = [record for record in own if record.skip is None]
        lines.append(
            f"{name}: {len(ranked)} rankings, {len(own) - len(ranked)} skipped, "
            f"seconds an item {_seconds(ranked)}"
        )
    return lines or ["nobody"]


def _with_oneself(ranked: Sequence[Ranking]) -> list[str]:
    rows = self_agreement(ranked)
    return [f"{name}: {_row(row)}" for name, row in rows.items()] or ["no item was ranked twice"]


def _among_people(ranked: Sequence[Ranking]) -> list[str]:
    """Agreement of all, then of each two, those with the most items in common first."""
    rows = agreement_table(ranked)
    if not rows:
        return ["no two people ranked the same item"]
    pairs = sum(row["pairs"] for row in rows.values())
    alike = sum(row["pairwise"] * row["pairs"] for row in rows.values() if row["pairs"])
    alpha = alpha_of_rankings(ranked)
    told = f"{alike / pairs:.0%} of {pairs} pairs alike" if pairs else "no pair that both order"
    lines = [told if math.isnan(alpha) else f"{told}, alpha {alpha:.2f}"]
    most = sorted(rows, key=lambda people: -rows[people]["items"])
    lines += [f"{a} and {b}: {_row(rows[a, b])}" for a, b in most[:MOST_PAIRS_OF_PEOPLE]]
    if len(most) > MOST_PAIRS_OF_PEOPLE:
        lines.append(f"and {len(most) - MOST_PAIRS_OF_PEOPLE} more pairs of people")
    return lines


def _row(row: dict[str, float]) -> str:
    items = f"{row['items']} item{'s' * (row['items'] != 1)}"
    if not row["pairs"]:
        return f"no pair ordered twice in {items}"
    text = f"{row['pairwise']:.0%} of {row['pairs']} pairs alike in {items}"
    return text if math.isnan(row["tau"]) else f"{text}, tau {row['tau']:.2f}"


def _listed(heading: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    return [(heading if number == 0 else "", text) for number, text in enumerate(texts)]
