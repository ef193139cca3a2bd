"""How speeds are shown: a table of ratios with their spread, and what machine they are of."""

from __future__ import annotations

import datetime
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

from rlhf_tutorial import reporting
from rlhf_tutorial.bench_timing import Comparison
from rlhf_tutorial.reporting_machine import machine, versions

VERSIONS = ("torch", "transformers", "trl")
HEADER = ("what", "against", "ours", "theirs", "unit", "ratio [lowest, highest]", "reach")


def table(comparisons: Sequence[Comparison]) -> str:
    """One row a comparison: the medians of both sides, the ratio with its spread, the reach."""
    rows = []
    for one in comparisons:
        speeds = [f"{statistics.median(side):,.0f}" for side in (one.ours, one.theirs)]
        reach = f"≥ {one.reach:g}" + ("" if one.is_reached else ", missed")
        rows.append([one.what, one.against, *speeds, one.unit, spread(one), reach])
    return reporting.markdown_table(HEADER, rows)


def spread(one: Comparison) -> str:
    """The ratio with the lowest and the highest of a turn, as in "3.10 [2.95, 3.30]"."""
    low, high = one.spread
    return f"{one.ratio:.2f} [{low:.2f}, {high:.2f}]"


def processor() -> str:
    """The processor's name as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()


def machine_line() -> str:
    """Processor, cores, threads, versions and the date."""
    found, ours = versions(), machine()
    packages = ", ".join(f"{name} {found[name]}" for name in VERSIONS)
    today = datetime.date.today().isoformat()
    return f"{processor()}, {ours['cores']} cores, {ours['threads']} threads; {packages}; {today}."


def note(comparisons: Sequence[Comparison], about: str) -> str:
    """What stands below a table."""
    turns = sorted({len(one.ours) for one in comparisons})
    counted = " or ".join(map(str, turns))
    return (
        f"Medians of {counted} turns, with the lowest and the highest ratio of a turn. {about} "
        f"{machine_line()}"
    )


def publish(section: str, comparisons: Sequence[Comparison], about: str, page: Path | None) -> None:
    """Print the table, and write it between the section's marks of a page if one is given.

    Raises:
        ValueError: the page has not the marks of this section.
    """
    text = f"{table(comparisons)}\n\n{note(comparisons, about)}"
    print(text)
    if page is not None:
        reporting.fill_sections(page, {section: text})
