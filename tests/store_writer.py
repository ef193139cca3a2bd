"""A process for the kill test: appends records for ever and prints each one once acknowledged."""

from __future__ import annotations

import sys
import warnings

from rlhf_tutorial.preferences import Ranking
from rlhf_tutorial.store import RankingStore


def main() -> None:
    path, prefix = sys.argv[1:]
    warnings.simplefilter("ignore")  # a half-written line left by the last kill is expected
    with RankingStore(path) as store:
        print("open", flush=True)
        number = 0
        while True:
            # Sizes from 1 character to 60,000, so that kills fall into long writes too.
            note = "é" * (1 + (number * 7919) % 60_000 if number % 3 == 0 else 1)
            record = Ranking(
                id=f"{prefix}-{number}", prompt="p", replies=["a", "b"], tiers=[[1], [0]], note=note
            )
            store.append(record)
            print("ranked", record.id, flush=True)
            if number % 5 == 4:
                store.retract(record.id)
                print("retracted", record.id, flush=True)
            number += 1


if __name__ == "__main__":
    main()
