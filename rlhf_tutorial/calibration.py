"""Whether probabilities come true: of what is said with 80 %, are 80 % so?"""

from __future__ import annotations

from collections.abc import Sequence

import torch


def calibration(
    probabilities: Sequence[float], outcomes: Sequence[float], bins: int = 10
) -> tuple[list[dict], float]:
    """Reliability table and expected calibration error (Guo et al. 2017, arXiv 1706.04599, eq. 3).

    `probabilities` are predictions in [0, 1], `outcomes` what came true (1, 0, or a share). The
    bins are equally wide; empty ones are left out of the table.
    """
    predicted = torch.as_tensor(probabilities, dtype=torch.float64)
    observed = torch.as_tensor(outcomes, dtype=torch.float64)
    if predicted.shape != observed.shape or predicted.numel() == 0:
        raise ValueError(
            f"calibration needs one outcome a probability and at least one: "
            f"got {predicted.numel()} probabilities and {observed.numel()} outcomes"
        )
    bin_of = (predicted * bins).long().clamp(0, bins - 1)
    table, error = [], 0.0
    for index in range(bins):
        inside = bin_of == index
        if not inside.any():
            continue
        row = {
            "low": index / bins,
            "high": (index + 1) / bins,
            "count": int(inside.sum()),
            "probability": float(predicted[inside].mean()),
            "frequency": float(observed[inside].mean()),
        }
        table.append(row)
        error += row["count"] / len(predicted) * abs(row["probability"] - row["frequency"])
    return table, error
