"""How often the gold judge agrees with a reader who ranked pairs of replies blind.

    python benchmarks/judge_agreement.py

`tests/data/ranked_pairs.jsonl` holds 200 pairs of real replies (SFT and RLHF, development prompts)
with the choice of a reader who knew the village's facts and neither the judge nor who wrote what.
The reader was an AI assistant that read each pair, not a person. Writes its section of
docs/benchmarks.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rlhf_tutorial.evaluation import clustered_interval  # noqa: E402
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


def main() -> None:
    lines = (ROOT / "tests" / "data" / "ranked_pairs.jsonl").read_text("utf-8").splitlines()
    pairs = [json.loads(line) for line in lines]
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
    print(table)
    fill_sections(ROOT / "docs" / "benchmarks.md", {"judge": table})


if __name__ == "__main__":
    main()
