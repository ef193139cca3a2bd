"""One progress bar for each stage, with the time left.

Algorithms know nothing of bars: they call `progress(step, total)` if they were handed one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stage_bar(
    label: str, unit: str = "step", disable: bool | None = None
) -> Iterator[Callable[[int, int], None]]:
    """Give a `progress(step, total)` that draws a bar named `label`; it closes with the block.

    `step` counts the steps done, `total` is their number (a later call may change it: early stops
    and early ends are fine). `disable=None` draws only where someone looks at a terminal or
    notebook, so that logs stay short; True never draws, False always.
    """
    from tqdm.auto import tqdm

    layout = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left]"
    with tqdm(
        desc=f"{label:<14}", unit=unit, disable=disable, bar_format=layout, dynamic_ncols=True
    ) as bar:

        def progress(step: int, total: int) -> None:
            bar.total = total
            bar.update(step - bar.n)

        yield progress


def say(text: str) -> None:
    """Print a line on standard error beside a running bar, without breaking it; "" says nothing."""
    from tqdm.auto import tqdm

    if text:
        tqdm.write(text, file=sys.stderr)
