"""How often the gold judge agrees with readers who ranked replies blind.

    python benchmarks/judge_agreement.py

`tests/data/ranked_pairs.jsonl` holds 200 pairs of real replies (SFT and RLHF, development prompts)
with the choice of a reader who knew the village's facts and neither the judge nor who wrote what.
`tests/data/ranked_items.jsonl` holds 50 items drawn from `data/rankings_sample.jsonl`, four replies
each in another order, as another reader ranked them who knew the guidelines and no fact of the
village; `decide` says whether they found something to decide. Both readers were AI assistants that
read each text, not people. Writes its sections of docs/benchmarks.md.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rlhf_tutorial.evaluation import clustered_interval  # noqa: E402
from rlhf_tutorial.json_records import read_records  # noqa: E402
from rlhf_tutorial.reporting import fill_sections, interval, markdown_table  # noqa: E402
from rlhf_tutorial.village.gold import judge  # noqa: E402

GAP = 0.05  # gold scores closer than this are a tie to the judge


def outcome(pair: dict) -> float | None:
    """1 agreed, 0 not, a half where one of them says tie; None where both do."""
    difference = judge(pair["prompt"], pair["a"]).gold - judge(pair["prompt"], pair["b"]).gold
    judged = "tie" if abs(difference) < GAP else ("a" if difference > 0 else "b")
    if judged == pair["choice"] == "tie":
        return None
    if "tie" in (judged, pair["choice"]):
        return 0.5
    return float(judged == pair["choice"])


def read(name: str) -> list[dict]:
    """The records of a file of tests/data."""
    return [record for _, record in read_records(ROOT / "tests" / "data" / name)]


def of_items(items: list[dict]) -> str:
    """Items with something to decide, and how often the judge orders two replies as the reader."""
    hits, prompts = [], []
    for item in items:
        place = {reply: tier for tier, members in enumerate(item["tiers"]) for reply in members}
        gold = [judge(item["prompt"], reply).gold for reply in item["replies"]]
        for a, b in itertools.combinations(range(len(gold)), 2):
            if abs(gold[a] - gold[b]) >= GAP and place[a] != place[b]:
                hits.append(float((gold[a] > gold[b]) == (place[a] < place[b])))
                prompts.append(item["prompt"])
    decide = sum(item["decide"] for item in items)
    same = interval(clustered_interval(hits, prompts))
    return markdown_table(
        ["items", "something to decide", "pairs apart to both", "in the judge's order"],
        [[str(len(items)), f"{decide} (wanted: 35)", str(len(hits)), same]],
    )


def main() -> None:
    pairs = read("ranked_pairs.jsonl")
    rows = []
    for name, chosen in (
        ("all pairs", pairs),
        ("pairs of which the reader was sure", [pair for pair in pairs if pair["sure"]]),
    ):
        results = [(outcome(pair), pair["prompt"]) for pair in chosen]
        results = [(value, prompt) for value, prompt in results if value is not None]
        rate = clustered_interval(*map(list, zip(*results, strict=True)))
        apart = [value for value, _ in results if value != 0.5]
        rows.append(
            [
                name,
                str(len(chosen)),
                interval(rate),
                f"{sum(apart) / len(apart):.2f} of {len(apart)}",
            ]
        )
    header = ["", "pairs", "agreement, a tie of one counts a half", "where neither says tie"]
    table = markdown_table(header, rows)
    items = of_items(read("ranked_items.jsonl"))
    print(table, items, sep="\n\n")
    fill_sections(ROOT / "docs" / "benchmarks.md", {"judge": table, "items": items})


if __name__ == "__main__":
    main()
