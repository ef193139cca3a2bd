"""Rankings: the rules of a record, its JSON, and the pairs made of it."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlhf_tutorial.preferences import (
    PreferenceError,
    PreferenceFileError,
    Ranking,
    apply_retractions,
    load_rankings,
    new_id,
    pairs,
    ranks,
    scan,
    utc_now,
)

any_text = st.text(st.characters(exclude_categories=()), max_size=40)  # lone surrogates included


def ranking(**changes) -> Ranking:
    values = {"id": "a", "prompt": "Where is the hat?", "replies": ["On the bed.", "Gone.", "Ask."]}
    values |= {"tiers": [[2], [0, 1]]} | changes
    return Ranking(**values)


@st.composite
def rankings(draw) -> Ranking:
    replies = draw(st.lists(any_text, min_size=2, max_size=5))
    order = list(range(len(replies)))
    turn = st.fixed_dictionaries({"role": st.just("user"), "content": any_text})
    skip = draw(st.none() | any_text.filter(bool))
    tiers: list[list[int]] = []
    for index in draw(st.permutations(order)) if skip is None else []:
        if tiers and draw(st.booleans()):
            tiers[-1].append(index)
        else:
            tiers.append([index])
    return Ranking(
        id=draw(any_text.filter(bool)),
        prompt=draw(any_text.filter(bool) | st.lists(turn, min_size=1, max_size=3)),
        replies=replies,
        shown=draw(st.permutations(order)),
        tiers=tiers,
        skip=skip,
        flags=draw(st.lists(any_text, max_size=2)),
        note=draw(any_text),
        annotator=draw(any_text.filter(bool)),
        seconds=draw(st.floats(min_value=0, allow_nan=False, allow_infinity=False)),
        time=draw(st.sampled_from(["", "2026-01-31T12:00:00+00:00", "2026-01-31T12:00:00Z"])),
    )


@settings(deadline=None)
@given(rankings())
def test_any_valid_ranking_survives_json_exactly(record):
    line = record.validate().to_json()
    assert "\n" not in line and line.encode("utf-8").decode("utf-8") == line
    assert Ranking.from_json(line) == record


@settings(deadline=None)
@given(rankings())
def test_pairs_are_the_strict_order_of_the_tiers_and_nothing_else(record):
    given_ranks = ranks(record)
    expected = {
        (i, j)
        for i, j in itertools.permutations(range(len(given_ranks)), 2)
        if given_ranks[i] < given_ranks[j] and record.replies[i] != record.replies[j]
    }
    found = pairs(record)
    assert len(found) == len(set(found)) and set(found) == expected
    if record.skip is not None:
        assert found == []


def test_pairs_by_hand():
    assert pairs(ranking()) == [(2, 0), (2, 1)]  # 0 and 1 are tied
    assert pairs(ranking(tiers=[[0], [1], [2]])) == [(0, 1), (0, 2), (1, 2)]
    assert pairs(ranking(tiers=[[0, 1, 2]])) == []
    assert pairs(ranking(tiers=[], skip="all alike")) == []
    same = ranking(replies=["Gone.", "Gone.", "Ask."], tiers=[[0], [1], [2]])
    assert pairs(same) == [(0, 2), (1, 2)]  # 0 and 1 say the same


def test_ranks_follow_the_canonical_order():
    assert ranks(ranking(tiers=[[2], [0, 1]])) == [1, 1, 0]
    assert ranks(ranking(tiers=[], skip="no time")) == []


def test_shown_defaults_to_the_canonical_order_and_tuples_become_lists():
    record = ranking(tiers=((2,), (0, 1)), replies=("a", "b", "c"))
    assert record.shown == [0, 1, 2]
    assert record.tiers == [[2], [0, 1]] and record.replies == ["a", "b", "c"]


BROKEN = {
    "schema_version": [2, "1", True, None],
    "kind": ["vote", None],
    "id": ["", None, 3],
    "prompt": [
        "",
        None,
        7,
        [],
        ["hello"],
        [{"role": "user"}],
        [{"role": "judge", "content": "x"}],
        [{"role": "user", "content": 1}],
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}],
    ],
    "replies": [[], ["one"], ["a"] * 6, ["a", 2, "c"], "abc", None],
    "shown": [[0, 1], [0, 1, 1], [0, 1, 3], "012", [0, True, 2]],
    "tiers": [[], [[0], [1]], [[0, 1, 2], []], [[0], [1], [2], [2]], [0, 1, 2], [[0], [1], [3]]],
    "skip": ["", 1, "but tiers are given"],
    "flags": ["harmful", [1], None],
    "note": [None, 1],
    "annotator": ["", None],
    "seconds": [-1, float("nan"), float("inf"), "3", True, None, 10**400],
    "model": [None],
    "time": ["yesterday", "2026-01-31T12:00:00", "2026-01-31T12:00:00+02:00", None, 5],
    "guideline_version": [None, 2],
    "repeat_of": ["", "a", 4],
    "retracts": ["b", ""],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BROKEN.items() for value in values]
)
def test_every_broken_field_is_named(name, value):
    with pytest.raises(PreferenceError, match="^[^\n]+$") as caught:
        ranking(**{name: value}).validate()
    named = "tiers" if value == "but tiers are given" else name
    assert str(caught.value).startswith(f"{named}: expected ")
    assert len(str(caught.value)) < 200


def test_every_field_has_a_broken_example():
    assert set(BROKEN) == {field.name for field in dataclasses.fields(Ranking)}


def test_a_retraction_holds_a_reference_and_nothing_else():
    record = Ranking(id="r", kind="retraction", retracts="a", annotator="ann", time=utc_now())
    assert Ranking.from_json(record.to_json()) == record
    for changes in ({"retracts": None}, {"retracts": "r"}, {"prompt": "x"}, {"replies": ["a"]}):
        with pytest.raises(PreferenceError):
            dataclasses.replace(record, **changes).validate()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[1, 2]", "JSON object"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"prompt": "p", "chosen": "c", "rejected": "r"}', "'schema_version' is missing"),
        ('{"schema_version": 2}', "schema_version: expected 1"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_foreign_lines_say_what_was_expected(line, message):
    with pytest.raises(PreferenceError, match="expected") as caught:
        Ranking.from_json(line)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_not_a_number_is_refused_in_json_too():
    with pytest.raises(PreferenceError, match="finite"):
        Ranking.from_json(ranking().to_json().replace('"seconds": 0.0', '"seconds": NaN'))


def test_an_unknown_field_is_named():
    record = json.loads(ranking().to_json()) | {"colour": "red"}
    with pytest.raises(PreferenceError, match="'colour' is unknown"):
        Ranking.from_json(json.dumps(record))


def test_retracted_rankings_are_left_out_wherever_the_retraction_stands():
    first, second = ranking(id="a"), ranking(id="b")
    back = Ranking(id="r", kind="retraction", retracts="a")
    assert apply_retractions([first, second, back]) == [second]
    assert apply_retractions([first, second]) == [first, second]


def write(path, *lines: str, end: str = "\n"):
    path.write_bytes(("\n".join(lines) + end).encode("utf-8"))
    return path


def test_load_rankings_reads_what_was_written(tmp_path):
    records = [ranking(id="a"), ranking(id="b", note="line\u2028separator \u0085 नमस्ते 🙂")]
    back = Ranking(id="r", kind="retraction", retracts="a")
    path = write(tmp_path / "p.jsonl", *(r.to_json() for r in [*records, back]))
    assert load_rankings(path) == [records[1]]


def test_problems_carry_their_line(tmp_path):
    good = [ranking(id=name).to_json() for name in "abcd"]
    cases = {
        "malformed": ([good[0], "not json", good[1]], 2, "not valid JSON"),
        "truncated": ([good[0], good[1], good[2][:40], good[3]], 3, "not valid JSON"),
        "duplicated": ([good[0], good[1], good[0]], 3, "line 1"),
        "foreign": (['{"text": "hello"}', good[0]], 1, "'schema_version' is missing"),
        "retraction of nothing": (
            [good[0], Ranking(id="r", kind="retraction", retracts="z").to_json()],
            2,
            "taken back",
        ),
        "taken back twice": (
            [good[0]]
            + [Ranking(id=r, kind="retraction", retracts="a").to_json() for r in ("r", "s")],
            3,
            "taken back",
        ),
        "byte order mark": (["\ufeff" + good[0]], 1, "byte order mark"),
    }
    for name, (lines, line, message) in cases.items():
        path = write(tmp_path / f"{name}.jsonl", *lines)
        with pytest.raises(PreferenceFileError) as caught:
            load_rankings(path)
        assert caught.value.line == line, name
        assert message in str(caught.value) and f"line {line}" in str(caught.value), name
        assert "expected" in str(caught.value), name


def test_scan_lists_all_problems_and_keeps_all_good_records():
    good = [ranking(id=name).to_json().encode() for name in "abc"]
    found = scan(b"\n".join([good[0], b"\xff\xfe", b"", good[1], good[0], b"{}", good[2], b""]))
    assert [record.id for record in found.records] == ["a", "b", "c"]
    assert [problem.line for problem in found.problems] == [2, 5, 6]
    assert found.tail == b"" and not found.needs_newline


def test_a_half_written_last_line_is_reported_and_left_out(tmp_path):
    whole = ranking(id="a").to_json()
    path = write(tmp_path / "p.jsonl", whole, ranking(id="b").to_json()[:50], end="")
    before = path.read_bytes()
    with pytest.warns(UserWarning, match="line 2: the last line is half-written"):
        assert [record.id for record in load_rankings(path)] == ["a"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("foreign", ['{"a": 1}', "Dear diary", '{"schema_version": 2}'])
def test_a_foreign_last_line_is_a_problem_not_a_half_written_record(tmp_path, foreign):
    path = write(tmp_path / "p.jsonl", foreign, end="")
    with pytest.raises(PreferenceFileError, match="line 1"):
        load_rankings(path)


def test_a_whole_last_line_without_newline_counts(tmp_path):
    path = write(tmp_path / "p.jsonl", ranking().to_json(), end="")
    assert load_rankings(path) == [ranking()]


def test_new_ids_differ_and_now_is_a_valid_time():
    assert new_id() != new_id()
    assert ranking(time=utc_now()).validate().time.endswith("+00:00")
