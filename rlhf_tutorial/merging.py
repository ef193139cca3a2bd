"""Pooling several preference files, such as a class's, into one, and what there is to say about it.

Pure functions: bytes in, records and sentences out. A file that was copied and went on growing on
another machine shares records with its copy, so the same record counts once. Nothing is decided in
silence: whatever was taken as the same, kept apart or renamed is a sentence in `Pool.notes`.

Names: the same name in two files is one person. Names that nobody chose, such as "reader", are an
exception: there each file is another person, unless the files share a record. With `drop_names`
people become person-1, person-2, ... in an order that does not follow names or files, the same
person has the same pseudonym throughout, and ids, which may contain names, are replaced as well.

Simplified: what people wrote by hand, their notes and reasons, is kept as it is. Whoever gives a
pooled file away must read it first, and a note says so.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rlhf_tutorial.preference_check import Source
from rlhf_tutorial.preferences import Ranking, apply_retractions
from rlhf_tutorial.ranking_items import item_id

# What a program calls somebody who gave no name.
UNCHOSEN_NAMES = frozenset({"anonymous", "reader", "imported", "stand-in"})
PSEUDONYM = "person-"


@dataclass(frozen=True)
class Pool:
    """Records of several files as one, ready to be written, and what was noticed on the way."""

    records: list[Ranking]
    notes: list[str] = field(default_factory=list)


def pool(sources: Sequence[Source], *, drop_names: bool = False, drop_times: bool = False) -> Pool:
    """Merge files; records of one file keep their order, and every reference stays valid.

    Args:
        sources: as `read_source` gives them; their damaged lines are left out.
        drop_names: pseudonyms in place of names and ids.
        drop_times: leave out when each record was made and how many seconds it took.
    """
    people, notes = _people(sources)
    records, told = _join(sources, people)
    notes += told
    notes += _ranked_twice(records)
    notes += _guidelines(records)
    if drop_names:
        names = {name for source in sources for name in _annotators(source)} - UNCHOSEN_NAMES
        notes += _written_by_hand(records, names)
        records = _without_names(records)
    if drop_times:
        records = [replace(record, time="", seconds=0.0) for record in records]
    return Pool(records, notes)


def _annotators(source: Source) -> list[str]:
    """Who ranked in a file, in the order of appearance."""
    return list(dict.fromkeys(r.annotator for r in source.records if r.kind == "ranking"))


def _people(sources: Sequence[Source]) -> tuple[dict[tuple[int, str], str], list[str]]:
    """(number of the file, name there) -> name in the pool, and what is to be said about it."""
    places: dict[str, list[int]] = defaultdict(list)
    for number, source in enumerate(sources):
        for name in _annotators(source):
            places[name].append(number)
    people: dict[tuple[int, str], str] = {}
    notes = _alike(list(places))
    for name, numbers in places.items():
        groups = _groups(sources, name, numbers) if _is_unchosen(name) else [numbers]
        for group in groups:
            called = name if len(groups) == 1 else _free_name(name, {*places, *people.values()})
            people |= {(number, name): called for number in group}
        files = ", ".join(sources[number].name for number in numbers)
        if len(groups) > 1:
            given = ", ".join(people[group[0], name] for group in groups)
            notes.append(
                f"{name} is a name that nobody chose, and it stands in {files}: each file counts "
                f"as another person ({given})"
            )
        elif len(numbers) > 1:
            notes.append(f"{name} ranked in {files}: taken as one person")
    return people, notes


def _alike(names: list[str]) -> list[str]:
    """One sentence for names that differ in capitals or spaces only."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in names:
        spellings["".join(name.casefold().split())].append(name)
    return [
        f"{' and '.join(same)} differ in capitals or spaces only, and count as different people"
        for same in spellings.values()
        if len(same) > 1
    ]


def _is_unchosen(name: str) -> bool:
    number = name.removeprefix(PSEUDONYM)
    return name in UNCHOSEN_NAMES or (name != number and number.isdecimal())


def _groups(sources: Sequence[Source], name: str, numbers: list[int]) -> list[list[int]]:
    """Files whose people of this name are the same, since they share a record."""
    groups: list[tuple[list[int], dict[str, Ranking]]] = []
    for number in numbers:
        mine = {r.id: r for r in sources[number].records if r.annotator == name}
        same = [g for g in groups if any(mine.get(i) == r for i, r in g[1].items())]
        joined = ([n for g in same for n in g[0]] + [number], mine)
        for group in same:
            joined[1].update(group[1])
        groups = [group for group in groups if group not in same] + [joined]
    return sorted(group for group, _ in groups)


def _free_name(name: str, taken: set[str]) -> str:
    number = 1
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


def _join(
    sources: Sequence[Source], people: dict[tuple[int, str], str]
) -> tuple[list[Ranking], list[str]]:
    """The records of all files, each once, under ids that are unique."""
    joined: dict[str, Ranking] = {}
    known: dict[str, list[tuple[Ranking, str]]] = defaultdict(list)  # id -> (as read, id given)
    retracted: set[str] = set()
    copies = taken_back_twice = 0
    notes = []
    for number, source in enumerate(sources):
        ids: dict[str, str] = {}  # of this file -> in the pool
        renamed = []
        for record in source.records:
            same = [given for read, given in known[record.id] if read == record]
            if same:
                ids[record.id] = same[0]
                copies += 1
                continue
            given = record.id
            if given in joined:
                given = _free_name(record.id, {*joined, *known})
                renamed.append(f"{record.id!a} as {given!a}")
            ids[record.id] = given
            known[record.id].append((record, given))
            target = ids.get(record.retracts, record.retracts)
            if target is not None and target in retracted:
                taken_back_twice += 1
                continue
            if target is not None:
                retracted.add(target)
            joined[given] = replace(
                record,
                id=given,
                annotator=people.get((number, record.annotator), record.annotator),
                repeat_of=ids.get(record.repeat_of, record.repeat_of),
                retracts=target,
            )
        if renamed:
            notes.append(
                f"{source.name}: {_count(len(renamed), 'id')} of another file with other content; "
                f"both are kept, {renamed[0]}{' and so on' * (len(renamed) > 1)}"
            )
    if copies:
        notes.append(f"{_count(copies, 'record')} in more than one file: kept once")
    if taken_back_twice:
        notes.append(f"{_count(taken_back_twice, 'ranking')} taken back in two files: said once")
    lost = sum(r.repeat_of is not None and r.repeat_of not in joined for r in joined.values())
    if lost:
        notes.append(f"{_count(lost, 'repeat')} of a ranking that is in none of the files")
    return list(joined.values()), notes


def _ranked_twice(records: list[Ranking]) -> list[str]:
    """One sentence a person who ranked items again without being asked to."""
    counts: Counter = Counter(
        (record.annotator, item_id(record.prompt, record.replies))
        for record in apply_retractions(records)
        if record.skip is None and record.repeat_of is None
    )
    people = Counter(name for (name, _), count in counts.items() if count > 1)
    return [
        f"{name} ranked {_count(number, 'item')} more than once, not as a repeat: all are kept, "
        "and agreement between people counts the first"
        for name, number in people.items()
    ]


def _guidelines(records: list[Ranking]) -> list[str]:
    """One sentence when people followed different guidelines."""
    counts = Counter(record.guideline_version for record in apply_retractions(records))
    if len(counts) < 2:
        return []
    told = ", ".join(f"{version or 'none'} ({number})" for version, number in counts.items())
    return [
        f"guideline versions differ: {told}; what looks like disagreement between people may be "
        "one between guidelines"
    ]


def _written_by_hand(records: list[Ranking], names: set[str]) -> list[str]:
    """How much free text is left when names are dropped, and whether a name stands in it."""
    texts = [text for r in records for text in (r.note, r.skip or "", *r.flags) if text]
    if not texts:
        return []
    named = sum(any(name.lower() in text.lower() for name in names) for text in texts)
    warning = f"{named} of them with an annotator's name: " if named else ""
    return [
        f"{_count(len(texts), 'note, reason or flag', 'notes, reasons and flags')} kept as "
        f"written, {warning}read them before you give the file away"
    ]


def _without_names(records: list[Ranking]) -> list[Ranking]:
    """Pseudonyms for people and ids; people in the order of what their records hash to."""
    of_ranking = {record.id: record.annotator for record in records if record.kind == "ranking"}
    by_person: dict[str, list[Ranking]] = defaultdict(list)
    for record in records:  # a retraction belongs to whoever gave the ranking
        by_person[of_ranking[record.retracts or record.id]].append(record)
    shuffled = sorted(
        by_person, key=lambda name: hashlib.sha256(by_person[name][0].to_json().encode()).digest()
    )
    ids: dict[str, str] = {}
    for number, name in enumerate(shuffled, start=1):
        for place, record in enumerate(by_person[name], start=1):
            ids[record.id] = f"{PSEUDONYM}{number}-{place}"
    return [
        replace(
            record,
            id=ids[record.id],
            annotator=f"{PSEUDONYM}{number}",
            # What is in no file has no new id, and its old one may hold a name.
            repeat_of=record.repeat_of and ids.get(record.repeat_of, f"{ids[record.id]}-first"),
            retracts=record.retracts and ids[record.retracts],
        )
        for number, name in enumerate(shuffled, start=1)
        for record in by_person[name]
    ]


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
