"""What the runs of `doctor.py` show, as tables: what a fault does, how it shows, who is right."""

from __future__ import annotations

import math
from collections import Counter
from statistics import mean, stdev

from doctor_cases import FROM_REFERENCE, GOES_ON, MAIN, SEVERITIES, SIZES, cases

from rlhf_tutorial.doctor import HEALTHY, diagnose
from rlhf_tutorial.doctor_log import surprise
from rlhf_tutorial.ppo_faults import FAULTS
from rlhf_tutorial.reporting import markdown_table

ENOUGH = 4  # healthy runs, at least, before a difference from them means anything
LATE = 4  # steps at the end of a run whose means are shown


def late(row: dict, key: str) -> float:
    """Mean of a quantity over the last steps of a run."""
    values = [step[key] for step in row["history"] if key in step]
    return mean(values[-LATE:]) if values else math.nan


def named(row: dict) -> str:
    """The cause that the doctor names first, from what trainers log."""
    logged = [{k: v for k, v in step.items() if k != "gold"} for step in row["history"]]
    return diagnose(logged)[0].cause


def right(row: dict) -> bool:
    return named(row) == (HEALTHY if row["fault"] == HEALTHY else FAULTS[row["fault"]].cause)


def harm(rows: list[dict], healthy: list[dict]) -> str:
    """What a fault did to gold and KL at the end of its runs, beside healthy runs of the seeds."""
    if len(healthy) < ENOUGH:
        return f"{len(healthy)} healthy runs to compare with are too few"
    usual, far = [late(row, "gold") for row in healthy], [row["kl"] for row in healthy]
    told = []
    if mean(late(row, "gold") for row in rows) < mean(usual) - 2 * stdev(usual):
        told.append("gold lower")
    if mean(row["kl"] for row in rows) > max(mean(far) + 2 * stdev(far), 1.5 * mean(far)):
        told.append("KL higher")
    return ", ".join(told) or "harmless here"


def fault_table(rows: list[dict]) -> str:
    """One line a fault: the wrong line, what it does, the tell-tale quantity, the fix."""
    healthy = [row for row in rows if is_usual(row)]
    lines = [["(healthy)", "", *numbers(healthy), "", ""]]
    for name, fault in FAULTS.items():
        found = [
            row
            for row in rows
            if row["fault"] == name
            and row["size"] == MAIN
            and row["severity"] == SEVERITIES[name][0]
        ]
        if found:
            what = f"{fault.line} ({SEVERITIES[name][0]:g})" if severe(name) else fault.line
            outcome = harm(found, healthy)
            lines.append([name, what, *numbers(found), outcome, fault.fix])
    header = ["fault", "the wrong line", "score", "gold", "KL logged", "KL", "what it did"]
    header += ["the fix"]
    return markdown_table(header, lines)


def is_usual(row: dict) -> bool:
    """Whether a run is healthy, and like those that faults are put into."""
    return (row["fault"], row["severity"], row["size"]) == (HEALTHY, FROM_REFERENCE, MAIN)


def severe(name: str) -> bool:
    """Whether a fault has severities."""
    return len(set(SEVERITIES[name])) > 1


def numbers(rows: list[dict]) -> list[str]:
    """Score and gold at the end, KL as logged there and as it is, means over runs."""
    if not rows:
        return ["–"] * 4
    keys = ("objective/scores", "gold", "objective/kl")
    found = [mean(late(row, key) for row in rows) for key in keys]
    return [f"{value:.2f}" for value in (*found, mean(row["kl"] for row in rows))]


def telltale_table(rows: list[dict]) -> str:
    """One line a fault: its tell-tale quantity, in healthy runs and with the fault, by step."""
    lines = []
    for name, fault in FAULTS.items():
        found, healthy = of(rows, name), of(rows, HEALTHY)
        if found and healthy:
            cells = [spread(tell(row, fault.tell)) for row in (healthy[0], found[0])]
            lines.append([name, f"`{fault.tell}`", *cells, fault.cause])
    header = ["fault", "tell-tale quantity", "healthy: lowest … highest step", "with the fault"]
    return markdown_table([*header, "cause named by `diagnose`"], lines)


def spread(values: list[float]) -> str:
    """The lowest and the highest of some numbers, and their mean."""
    low, high, middle = (f"{round(f(values), 4) + 0.0:.4g}" for f in (min, max, mean))
    return f"{low} … {high}, mean {middle}"


def of(rows: list[dict], fault: str) -> list[dict]:
    """The runs of wave 0 with a fault, by seed."""
    wanted = {case.key for case in cases(0) if case.fault == fault}
    return sorted((row for row in rows if row["key"] in wanted), key=lambda row: row["seed"])


def tell(row: dict, quantity: str) -> list[float]:
    """A tell-tale quantity by steps; "surprise" is how surprising tokens are, over the entropy."""
    if quantity != "surprise":
        return [step.get(quantity, math.nan) for step in row["history"]]
    return [surprise(step) for step in row["history"]]


def confusion(rows: list[dict]) -> dict[str, Counter]:
    """For each fault, how often which cause was named first."""
    counts = {name: Counter() for name in (HEALTHY, *FAULTS)}
    for row in rows:
        counts[row["fault"]][named(row)] += 1
    return {name: count for name, count in counts.items() if count}


def confusion_table(rows: list[dict]) -> str:
    lines = []
    for name, count in confusion(rows).items():
        wanted = HEALTHY if name == HEALTHY else FAULTS[name].cause
        others = ", ".join(f"{c} ({n})" for c, n in count.most_common() if c != wanted)
        total = sum(count.values())
        lines.append([name, wanted, f"{count[wanted]} of {total}", others or "–"])
    return markdown_table(["what was wrong", "cause to name", "named first", "instead"], lines)


def goes_on(row: dict) -> bool:
    return row["fault"] == HEALTHY and row["severity"] == GOES_ON


def shares(rows: list[dict]) -> str:
    """Right first with faults, and healthy of the healthy, by kind of run."""
    lines = []
    for title, chosen in (
        ("all", rows),
        ("the course's models", [row for row in rows if row["size"] == MAIN]),
        ("larger, trained less", [row for row in rows if row["size"] == SIZES[1]]),
        ("gone on from a trained policy", [row for row in rows if goes_on(row)]),
    ):
        spoilt = [right(row) for row in chosen if row["fault"] != HEALTHY]
        healthy = [right(row) for row in chosen if row["fault"] == HEALTHY]
        cells = [
            f"{sum(kind)} of {len(kind)} ({mean(kind):.0%})" if kind else "–"
            for kind in (spoilt, healthy)
        ]
        lines.append([title, *cells])
    header = ["runs that no rule was written on", "right cause first", "healthy called healthy"]
    return markdown_table(header, lines)
