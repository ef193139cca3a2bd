"""Whether counts fit shares: Pearson's chi-squared test without scipy."""

from __future__ import annotations

from collections.abc import Mapping


def critical_value(degrees: int) -> float:
    """What chi-squared exceeds once in a thousand (Wilson and Hilferty 1931, to 1 %)."""
    spread = 2 / (9 * degrees)
    return degrees * (1 - spread + 3.09 * spread**0.5) ** 3


def assert_fits(counts: Mapping, shares: Mapping) -> None:
    """Counts by key are a sample of the shares (which sum to 1), at the level 0.001."""
    strangers = [key for key in counts if key not in shares]
    assert not strangers, f"{len(strangers)} keys without a share, such as {strangers[0]!r}"
    assert abs(sum(shares.values()) - 1) < 1e-9, "shares must sum to 1"
    total = sum(counts.values())
    expected = {key: total * share for key, share in shares.items() if share > 0}
    assert min(expected.values()) >= 5, "too few draws for a chi-squared test"
    distance = sum((counts.get(k, 0) - e) ** 2 / e for k, e in expected.items())
    assert distance < critical_value(len(expected) - 1), (distance, dict(counts), expected)
