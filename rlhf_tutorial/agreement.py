"""How far people agree: Kendall's tau-b, Krippendorff's alpha and plain pairwise agreement.

Agreement is the ceiling of a reward model: where people disagree there is nothing to learn. Three
measures, because each answers another question: how alike are two orders (tau), how far is a whole
group above chance (alpha), and how often would two people choose the same reply (pairwise).

Simplified: alpha over ranks treats each reply of each item as a unit. Ranks within one item are
not independent of each other, so its value is read as a description, without a test of
significance. Where nothing can be compared the result is NaN, never a flattering 1.

Sources: M. Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945), tau-b;
K. Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), which derives alpha from
coincidences: alpha = 1 - D_observed / D_expected, and gives the worked example of the tests.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from rlhf_tutorial.preferences import Ranking, ranks

NOT_A_NUMBER = float("nan")


def tau_b(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b of two score lists over the same things, ties allowed, in [-1, 1].

    (concordant - discordant) / sqrt((pairs - ties in first) (pairs - ties in second)), Kendall
    1945. NaN when either list is tied throughout, since it then holds no order.
    """
    if len(first) != len(second):
        raise ValueError(f"tau needs lists of one length, found {len(first)} and {len(second)}")
    balance = untied_first = untied_second = 0
    for i, j in itertools.combinations(range(len(first)), 2):
        sign_first = _sign(first[i], first[j])
        sign_second = _sign(second[i], second[j])
        balance += sign_first * sign_second
        untied_first += sign_first != 0
        untied_second += sign_second != 0
    if not untied_first or not untied_second:
        return NOT_A_NUMBER
    return balance / math.sqrt(untied_first * untied_second)


def kendall_tau(ranking_a: Ranking, ranking_b: Ranking) -> float:
    """Kendall's tau-b of two rankings of the same replies; NaN if either was skipped or all tied.

    Raises `ValueError` when the rankings are not of the same prompt and replies.
    """
    _check_same_item(ranking_a, ranking_b)
    if not _both_ranked(ranking_a, ranking_b):
        return NOT_A_NUMBER
    return tau_b(ranks(ranking_a), ranks(ranking_b))


def pairwise_agreement(ranking_a: Ranking, ranking_b: Ranking) -> float:
    """Share of reply pairs that both order and order alike; NaN if there is no such pair.

    Pairs that either leaves tied are left out, and so are identical replies.
    Raises `ValueError` when the rankings are not of the same prompt and replies.
    """
    alike, compared = compared_pairs(ranking_a, ranking_b)
    return alike / compared if compared else NOT_A_NUMBER


def compared_pairs(ranking_a: Ranking, ranking_b: Ranking) -> tuple[int, int]:
    """(pairs ordered alike, pairs that both order): add them up over items, then divide."""
    _check_same_item(ranking_a, ranking_b)
    if not _both_ranked(ranking_a, ranking_b):
        return 0, 0
    ranks_a, ranks_b = ranks(ranking_a), ranks(ranking_b)
    alike = compared = 0
    for i, j in itertools.combinations(range(len(ranking_a.replies)), 2):
        product = _sign(ranks_a[i], ranks_a[j]) * _sign(ranks_b[i], ranks_b[j])
        if product and ranking_a.replies[i] != ranking_a.replies[j]:
            compared += 1
            alike += product > 0
    return alike, compared


def krippendorff_alpha(units: Iterable[Sequence[float | None]], level: str = "ordinal") -> float:
    """Krippendorff's alpha: 1 is perfect agreement, 0 what chance gives, below 0 is worse.

    `units` holds one sequence a thing judged, with one value a coder and None where a coder gave
    none. `level` is "nominal", "ordinal" or "interval". Units with fewer than two values say
    nothing about agreement and are left out; NaN when no disagreement was possible.
    Source: Krippendorff 2011, steps C and D and the difference functions there.
    """
    if level not in ("nominal", "ordinal", "interval"):
        raise ValueError(f"level: expected nominal, ordinal or interval, found {level!r}")
    coincidences: Counter = Counter()  # o_ck, both ways round
    for unit in units:
        values = [value for value in unit if value is not None]
        if len(values) < 2:
            continue
        for first, second in itertools.permutations(values, 2):
            coincidences[first, second] += 1 / (len(values) - 1)
    totals: Counter = Counter()  # n_c
    for (first, _), count in coincidences.items():
        totals[first] += count
    difference = _squared_difference(level, totals)
    everything = sum(totals.values())
    observed = sum(n * difference(c, k) for (c, k), n in coincidences.items())
    expected = sum(
        totals[c] * totals[k] * difference(c, k) for c, k in itertools.permutations(totals, 2)
    )
    if not expected:
        return NOT_A_NUMBER
    return 1 - (everything - 1) * observed / expected


def alpha_of_rankings(rankings: Iterable[Ranking], over: str = "ranks") -> float:
    """Krippendorff's ordinal alpha of several people's rankings.

    `over="ranks"`: a unit is one reply, its values the rank each person gave it (tied replies
    share the mean of their places). `over="pairs"`: a unit is a pair of replies in canonical
    order, its values -1 (the first is better), 0 (tied) and 1. Where one person ranked an item
    twice the first ranking counts; see `self_agreement` for the second.
    """
    if over not in ("ranks", "pairs"):
        raise ValueError(f"over: expected ranks or pairs, found {over!r}")
    values_of = _mid_ranks if over == "ranks" else _pair_signs
    units: list[list[float]] = []
    for by_person in by_item(rankings).values():
        columns = [values_of(ranking) for ranking in by_person.values()]
        units += [list(unit) for unit in zip(*columns, strict=True)]
    return krippendorff_alpha(units, "ordinal")


def agreement_table(rankings: Iterable[Ranking]) -> dict[tuple[str, str], dict[str, float]]:
    """For each two annotators: {items, tau (mean over items), pairwise, pairs} on shared items."""
    taus: dict[tuple[str, str], list[float]] = defaultdict(list)
    counts: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for by_person in by_item(rankings).values():
        for first, second in itertools.combinations(sorted(by_person), 2):
            taus[first, second].append(kendall_tau(by_person[first], by_person[second]))
            counts[first, second].append(compared_pairs(by_person[first], by_person[second]))
    return {people: _row(taus[people], counts[people]) for people in sorted(taus)}


def self_agreement(rankings: Iterable[Ranking]) -> dict[str, dict[str, float]]:
    """For each annotator who ranked items twice (`repeat_of`): a row as in `agreement_table`.

    A record that names a ranking of another item as its first is no repeat, and is left out.
    """
    rankings = list(rankings)
    known = {ranking.id: ranking for ranking in rankings}
    taus: dict[str, list[float]] = defaultdict(list)
    counts: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for again in rankings:
        first = known.get(again.repeat_of)
        if first is None or first.skip is not None or again.skip is not None:
            continue
        if (first.prompt, first.replies) != (again.prompt, again.replies):
            continue
        taus[again.annotator].append(kendall_tau(first, again))
        counts[again.annotator].append(compared_pairs(first, again))
    return {person: _row(taus[person], counts[person]) for person in sorted(taus)}


def by_item(rankings: Iterable[Ranking]) -> dict[Hashable, dict[str, Ranking]]:
    """Rankings of the same prompt and replies, by annotator; skipped ones and repeats left out."""
    items: dict[Hashable, dict[str, Ranking]] = defaultdict(dict)
    for ranking in rankings:
        if ranking.skip is None and ranking.kind == "ranking":
            key = (repr(ranking.prompt), tuple(ranking.replies))
            items[key].setdefault(ranking.annotator, ranking)
    return dict(items)


def _row(taus: list[float], counts: list[tuple[int, int]]) -> dict[str, float]:
    defined = [tau for tau in taus if not math.isnan(tau)]
    alike, compared = (sum(column) for column in zip(*counts, strict=True))
    return {
        "items": len(taus),
        "tau": sum(defined) / len(defined) if defined else NOT_A_NUMBER,
        "pairwise": alike / compared if compared else NOT_A_NUMBER,
        "pairs": compared,
    }


def _squared_difference(level: str, totals: Mapping[float, float]) -> Callable:
    """delta squared of two values; the ordinal one counts the values that lie between them."""
    if level == "nominal":
        return lambda c, k: float(c != k)
    if level == "interval":
        return lambda c, k: float((c - k) ** 2)
    below: dict[float, float] = {}  # how many values are smaller
    running = 0.0
    for value in sorted(totals):
        below[value] = running
        running += totals[value]

    def ordinal(c: float, k: float) -> float:
        middle_of_c = below[c] + totals[c] / 2
        middle_of_k = below[k] + totals[k] / 2
        return (middle_of_c - middle_of_k) ** 2

    return ordinal


def _mid_ranks(ranking: Ranking) -> list[float]:
    given = ranks(ranking)
    size = Counter(given)
    return [sum(n for tier, n in size.items() if tier < r) + (size[r] - 1) / 2 for r in given]


def _pair_signs(ranking: Ranking) -> list[float]:
    return [float(_sign(a, b)) for a, b in itertools.combinations(ranks(ranking), 2)]


def _sign(first: float, second: float) -> int:
    return (first > second) - (first < second)


def _both_ranked(first: Ranking, second: Ranking) -> bool:
    return bool(first.tiers) and bool(second.tiers)


def _check_same_item(first: Ranking, second: Ranking) -> None:
    if first.prompt != second.prompt or first.replies != second.replies:
        raise ValueError(
            f"rankings {first.id!r} and {second.id!r} are not of the same prompt and replies "
            "in the same canonical order, so they cannot be compared"
        )
