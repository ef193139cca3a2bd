"""Import files of two labelling servers: Label Studio's tasks and Argilla's records, both ways.

Both are one JSON array with one object an item, and every annotator's answer inside it. Unlike
pairs they keep ties, skipped items and who answered. Label Studio's Ranker sorts a List into
Buckets, so a tie is two replies in one bucket; Argilla gives tied replies one rank.

Simplified: notes, flags, times and the order on the screen have no place in either and are left
out. Argilla ranks a fixed number of options; where an item has fewer replies than another one,
those that it lacks stand last.

Sources: labelstud.io/tags/ranker (List with Ranker and Buckets) and labelstud.io/guide/task_format;
`Record.from_dict` of the Argilla SDK 2.8.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from rlhf_tutorial.json_records import DatasetFileError, check_ranking, one_line, read_records
from rlhf_tutorial.preferences import MAXIMUM_REPLIES, Ranking, ranks
from rlhf_tutorial.prompt_turns import as_prompt, as_turns

QUESTION, REPLIES = "ranking", "replies"  # what both call the question and the list of replies
PLACES = [f"place-{number}" for number in range(1, MAXIMUM_REPLIES + 1)]
LABEL_STUDIO_CONFIG = (
    "<View>\n"
    '  <Paragraphs name="prompt" value="$prompt" layout="dialogue" nameKey="role" '
    'textKey="content"/>\n'
    f'  <List name="{REPLIES}" value="${REPLIES}"/>\n'
    f'  <Ranker name="{QUESTION}" toName="{REPLIES}">\n'
    + "".join(f'    <Bucket name="{place}"/>\n' for place in PLACES)
    + "  </Ranker>\n</View>\n"
)
_USERS = uuid.UUID("5b7e7c1e-5d5a-4d3e-9d0c-6f1f5e0d7a11")  # of this project; any fixed one will do


def to_label_studio(rankings: Iterable[Ranking]) -> list[dict]:
    """One task an item, with one annotation for each ranking of it (cancelled when skipped)."""
    tasks = []
    for answers in _by_item(rankings):
        first = answers[0]
        replies = [
            {"id": _option(i), "title": f"Reply {i + 1}", "body": reply}
            for i, reply in enumerate(first.replies)
        ]
        data = {
            "prompt": as_turns(first.prompt),
            REPLIES: replies,
            # Label Studio takes only its own users in `completed_by`, so names stand here.
            "annotators": [answer.annotator for answer in answers],
            "ids": [answer.id for answer in answers],
            "model": first.model,
        }
        tasks.append({"data": data, "annotations": [_annotation(answer) for answer in answers]})
    return tasks


def read_label_studio(path: str | Path) -> list[Ranking]:
    """Rankings of Label Studio tasks as `to_label_studio` writes them.

    Raises `DatasetFileError` with the line where a task begins.
    """
    found = []
    for number, (line, task) in enumerate(read_records(path), start=1):
        try:
            data, annotations = task["data"], task["annotations"]
            options = [reply["id"] for reply in data[REPLIES]]
            replies = [reply["body"] for reply in data[REPLIES]]
            for place, annotation in enumerate(annotations):
                buckets = {}
                for result in annotation["result"]:
                    if result["from_name"] == QUESTION:
                        buckets = result["value"]["ranker"]
                tiers = [[options.index(option) for option in buckets.get(p, [])] for p in PLACES]
                answer = Ranking(
                    id=_at(data, "ids", place) or f"{Path(path).stem}-{number}-{place + 1}",
                    prompt=as_prompt(data["prompt"]),
                    replies=replies,
                    tiers=[tier for tier in tiers if tier],
                    skip="skipped" if annotation.get("was_cancelled") else None,
                    annotator=_at(data, "annotators", place) or "imported",
                    seconds=annotation.get("lead_time") or 0.0,
                    model=data.get("model", ""),
                )
                found.append(check_ranking(path, line, answer))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _fault(
                path, line, "a Label Studio task with data and annotations", error
            ) from None
    return found


def to_argilla(rankings: Iterable[Ranking]) -> list[dict]:
    """One record an item with a response for each annotator; repeats get records of their own."""
    items = list(_by_item(rankings))
    options = max((len(answers[0].replies) for answers in items), default=0)
    records = []
    for answers in items:
        for nth in _nth_of_each(answers):
            first = nth[0]
            fields = {_option(i): reply for i, reply in enumerate(first.replies)}
            records.append(
                {
                    "id": first.id,
                    "fields": {"prompt": as_turns(first.prompt), **fields},
                    "metadata": {
                        "annotators": [answer.annotator for answer in nth],
                        "ids": [answer.id for answer in nth],
                        "model": first.model,
                    },
                    "suggestions": {},
                    "responses": {QUESTION: [_response(answer, options) for answer in nth]},
                    "vectors": {},
                }
            )
    return records


def read_argilla(path: str | Path) -> list[Ranking]:
    """Rankings of Argilla records as `to_argilla` writes them.

    Raises `DatasetFileError` with the line where a record begins.
    """
    found = []
    for number, (line, record) in enumerate(read_records(path), start=1):
        try:
            fields, about = record["fields"], record.get("metadata") or {}
            options = [o for o in map(_option, range(MAXIMUM_REPLIES)) if o in fields]
            for place, response in enumerate(record["responses"][QUESTION]):
                tiers: dict[int, list[int]] = defaultdict(list)
                for option in response["value"] or []:
                    if option["value"] in options:
                        tiers[option["rank"]].append(options.index(option["value"]))
                answer = Ranking(
                    id=_at(about, "ids", place) or f"{Path(path).stem}-{number}-{place + 1}",
                    prompt=as_prompt(fields["prompt"]),
                    replies=[fields[option] for option in options],
                    tiers=[tiers[rank] for rank in sorted(tiers)],
                    skip="skipped" if response.get("status") == "discarded" else None,
                    annotator=_at(about, "annotators", place) or "imported",
                    model=about.get("model", ""),
                )
                found.append(check_ranking(path, line, answer))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _fault(path, line, "an Argilla record with fields and responses", error) from None
    return found


def array_text(rows: list[dict]) -> str:
    """Rows as one JSON array with one row a line."""
    return "[\n" + ",\n".join(map(one_line, rows)) + "\n]\n"


def _by_item(rankings: Iterable[Ranking]) -> Iterator[list[Ranking]]:
    items: dict[tuple, list[Ranking]] = defaultdict(list)
    for ranking in rankings:
        items[repr(ranking.prompt), tuple(ranking.replies)].append(ranking)
    yield from items.values()


def _nth_of_each(answers: list[Ranking]) -> list[list[Ranking]]:
    """The first answers of each person, then the second ones, and so on."""
    seen: dict[str, int] = defaultdict(int)
    rounds: dict[int, list[Ranking]] = defaultdict(list)
    for answer in answers:
        rounds[seen[answer.annotator]].append(answer)
        seen[answer.annotator] += 1
    return list(rounds.values())


def _annotation(answer: Ranking) -> dict:
    buckets = {
        place: [_option(i) for i in tier] for place, tier in zip(PLACES, answer.tiers, strict=False)
    }
    result = {
        "id": answer.id,
        "from_name": QUESTION,
        "to_name": REPLIES,
        "type": "ranker",
        "value": {"ranker": dict.fromkeys(PLACES, []) | buckets},
    }
    return {
        "result": [result] if answer.tiers else [],
        "was_cancelled": answer.skip is not None,
        "lead_time": answer.seconds,
    }


def _response(answer: Ranking, options: int) -> dict:
    given = [{"value": _option(i), "rank": rank + 1} for i, rank in enumerate(ranks(answer))]
    last = len(answer.tiers) + 1
    given += [{"value": _option(i), "rank": last} for i in range(len(answer.replies), options)]
    return {
        "value": None if answer.skip is not None else sorted(given, key=lambda o: o["rank"]),
        "user_id": str(uuid.uuid5(_USERS, answer.annotator)),
        "status": "submitted" if answer.skip is None else "discarded",
    }


def _option(index: int) -> str:
    return f"reply-{index + 1}"


def _at(about: dict, name: str, place: int) -> str | None:
    """The text of this place in a list that may be missing."""
    values = about.get(name) or []
    return values[place] if place < len(values) else None


def _fault(path: str | Path, line: int, expected: str, error: Exception) -> DatasetFileError:
    if isinstance(error, DatasetFileError):
        return error
    return DatasetFileError(path, line, f"expected {expected}, found none ({error!a})")
