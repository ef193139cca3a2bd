"""The blind vote: what is shown, what is stored, going on, the interval, names at the end only."""

from __future__ import annotations

import json
import math
import random

import pytest
from scipy import stats

from rlhf_tutorial.preference_rules import PreferenceError
from rlhf_tutorial.preferences import load_rankings
from rlhf_tutorial.store import RankingStore, StoreError
from rlhf_tutorial.vote_intervals import votes_needed, wilson_interval
from rlhf_tutorial.voting import CHOICES, VoteError, VoteSession, chooser, vote_all

NAMES = ("new", "old")


def make_items(count: int) -> list[tuple[str, str, str]]:
    return [(f"Question {n}?", f"new {n}", f"old {n}") for n in range(count)]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "votes.jsonl"


def prefer(beginning: str):
    """Votes for the reply that begins so."""
    return lambda pair: "left" if pair.left.startswith(beginning) else "right"


def test_votes_count_for_who_wrote_the_reply_not_for_the_side(file):
    session = VoteSession(make_items(20), NAMES, file)
    vote_all(session, prefer("old"))
    result = session.result()
    assert (result.first_wins, result.second_wins, result.n, result.mean) == (0, 20, 20, 0.0)
    assert result.names == NAMES


def test_ties_both_bad_and_equal_replies_count_a_half(file):
    items = [*make_items(3), ("Same?", "both", "both")]
    session = VoteSession(items, NAMES, file)
    assert session.total == 3  # the equal pair is not shown
    session.vote("tie")
    session.vote("both_bad")
    session.vote(prefer("new")(session.current))
    result = session.result()
    assert (result.ties, result.both_bad, result.same, result.first_wins) == (1, 1, 1, 1)
    assert result.mean == pytest.approx(2.5 / 4) and result.n == 4
    assert "count a half" in str(result) and "both bad 1" in str(result)


def test_sides_are_shuffled_by_seed_and_stay_the_same_when_resumed(file, tmp_path):
    def sides(path, seed):
        session, seen = VoteSession(make_items(40), NAMES, path, seed), []
        while session.current is not None:
            seen.append(session.current.left.split()[0])
            session.vote("tie")
            session = VoteSession(make_items(40), NAMES, path, seed)  # a kernel that was restarted
        return seen

    first = sides(file, 0)
    assert 10 < first.count("new") < 30
    assert sides(tmp_path / "again.jsonl", 0) == first != sides(tmp_path / "other.jsonl", 1)


def test_each_vote_is_on_the_disk_at_once_and_taken_up_again(file):
    session = VoteSession(make_items(5), NAMES, file)
    for done in (1, 2, 3):
        session.vote("left")
        assert len(file.read_text().splitlines()) == done
    again = VoteSession(make_items(5), NAMES, file)
    assert (again.done, again.total, again.current) == (3, 5, session.current)
    assert VoteSession(make_items(5), NAMES, file, voter="somebody else").done == 0


def test_the_file_names_no_model_and_does_not_tell_by_order(file):
    vote_all(VoteSession(make_items(30), ("rlhf", "sft"), file), lambda pair: "left")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert "rlhf" not in file.read_text()
    assert {record["replies"][0][:3] for record in records} == {"new", "old"}


def test_a_vote_is_a_preference_that_the_store_reads(file):
    session = VoteSession(make_items(4), NAMES, file)
    shown = []
    for choice in CHOICES:
        shown.append([session.current.left, session.current.right])
        session.vote(choice)
    records = load_rankings(file)
    assert [record.replies for record in records] == shown
    assert [r.tiers for r in records] == [[[0], [1]], [[1], [0]], [[0, 1]], [[0, 1]]]
    assert [r.flags for r in records] == [[], [], [], ["both_bad"]]


def test_seconds_are_those_of_the_pair(file):
    now = iter([0.0, 4.0, 4.0, 2.0, 2.0])  # the second time the clock goes back
    session = VoteSession(make_items(2), NAMES, file, clock=lambda: next(now))
    session.vote("tie")
    session.vote("tie")
    assert [record.seconds for record in load_rankings(file)] == [4.0, 0.0]


def test_undo_appends_and_shows_the_pair_again(file):
    session = VoteSession(make_items(3), NAMES, file)
    first = session.current
    session.vote("left")
    session.undo()
    assert session.current == first and session.done == 0
    assert len(file.read_text().splitlines()) == 2
    with pytest.raises(VoteError, match="no vote to take back"):
        session.undo()


def test_names_come_at_the_end_and_close_the_vote(file):
    session = VoteSession(make_items(2), NAMES, file)
    session.vote("tie")
    with pytest.raises(VoteError, match="1 pairs are left"):
        session.result()
    session.vote("tie")
    session.undo()  # the names are not known yet
    session.vote("left")
    session.result()
    with pytest.raises(VoteError, match="closed"):
        session.undo()
    with pytest.raises(VoteError, match="all pairs are done"):
        session.vote("left")


def test_ending_early_counts_what_was_voted_and_stays_ended(file):
    session = VoteSession(make_items(10), NAMES, file)
    session.vote(prefer("new")(session.current))
    session.finish()
    assert session.result().n == 1 and session.done == 1
    again = VoteSession(make_items(10), NAMES, file)
    assert again.current is None and again.result().n == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_an_end_is_taken_back_at_once_and_then_the_vote_before_it(file, restarted):
    session = VoteSession(make_items(10), NAMES, file)
    first = session.current
    session.vote("left")
    second = session.current
    session.finish()
    before = file.read_bytes()
    if restarted:
        session = VoteSession(make_items(10), NAMES, file)
    assert session.current is None
    session.undo()
    assert session.current == second and session.done == 1
    assert file.read_bytes().startswith(before)
    assert [record.skip for record in load_rankings(file)] == [None]
    session.undo()
    assert session.current == first and session.done == 0
    with pytest.raises(VoteError, match="no vote to take back"):
        session.undo()
    vote_all(session, prefer("new"))
    assert session.result().n == 10


def test_an_end_before_any_vote_can_be_taken_back_and_an_earlier_end_stays(file):
    session = VoteSession(make_items(4), NAMES, file)
    session.finish()
    session = VoteSession(make_items(6), NAMES, file)  # a longer list, gone on with
    session.vote("tie")
    session.finish()
    session.undo()
    assert session.current.prompt == "Question 5?"
    session.undo()
    assert session.current.prompt == "Question 4?"
    session.undo()
    assert session.current.prompt == "Question 0?" and load_rankings(file) == []


def test_an_end_that_was_taken_back_in_part_is_taken_back_by_the_next_press(file, monkeypatch):
    session = VoteSession(make_items(5), NAMES, file)
    session.vote("left")
    session.finish()
    real, left = RankingStore.retract, [2]

    def two_then_full(store, *arguments, **named):
        left[0] -= 1
        if left[0] < 0:
            raise StoreError("no room")
        return real(store, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(RankingStore, "retract", two_then_full)
        with pytest.raises(StoreError, match="no room"):
            session.undo()
    assert len(load_rankings(file)) == 3
    session.undo()
    assert session.current.prompt == "Question 1?" and len(load_rankings(file)) == 1


def test_nothing_voted_on_is_no_win_rate(file):
    session = VoteSession(make_items(2), NAMES, file)
    session.finish()
    with pytest.raises(VoteError, match="no vote was given"):
        session.result()


def test_two_windows_give_a_pair_one_vote(file):
    one, other = (VoteSession(make_items(2), NAMES, file) for _ in range(2))
    one.vote("left")
    other.vote("right")
    assert len(load_rankings(file)) == 1 and other.current == one.current


def test_a_vote_that_is_not_saved_leaves_the_pair(file, monkeypatch):
    session = VoteSession(make_items(2), NAMES, file)
    pair = session.current
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", _full)
        with pytest.raises(StoreError):
            session.vote("left")
    assert session.current == pair and session.done == 0
    session.vote("left")
    assert len(load_rankings(file)) == 1


def _full(_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("items", "names", "words"),
    [
        ([], NAMES, "no pairs"),
        (make_items(2), ("old", "old"), "two different"),
        ([*make_items(2), make_items(1)[0]], NAMES, "item 2 stands in the list twice"),
        ([("Q", "a", "b"), ("Q", "b", "a")], NAMES, "item 1 stands in the list twice"),
    ],
)
def test_what_is_no_vote_is_told_before_it_begins(items, names, words, file):
    with pytest.raises(VoteError, match=words):
        VoteSession(items, names, file)
    assert not file.exists()


def test_an_unknown_choice_and_an_empty_prompt_are_told(file):
    session = VoteSession(make_items(1), NAMES, file)
    with pytest.raises(VoteError, match="choose one of left, right, tie, both_bad"):
        session.vote("middle")
    session = VoteSession([("", "a", "b")], NAMES, file)
    with pytest.raises(PreferenceError, match="prompt"):
        session.vote("left")


def test_hostile_texts_are_stored_exactly(file):
    hostile = "\x1b[31m\u202e\u200b</script>\ud800\r\n\0 🙂" + "x" * 10_000
    session = VoteSession([(hostile, hostile + "a", "b")], NAMES, file)
    session.vote(prefer("b")(session.current))
    (record,) = load_rankings(file)
    assert record.prompt == hostile and set(record.replies) == {hostile + "a", "b"}
    assert VoteSession([(hostile, hostile + "a", "b")], NAMES, file).result().second_wins == 1


def test_the_stand_in_goes_by_its_utility(file):
    worth = {"good": 0.9, "close": 0.89, "poor": 0.2, "worse": 0.1}
    items = [("Q1", "good", "poor"), ("Q2", "good", "close"), ("Q3", "worse", "poor")]
    session = VoteSession(items, NAMES, file)
    vote_all(session, chooser(lambda prompt, reply: worth[reply]))
    result = session.result()
    assert (result.first_wins, result.ties, result.both_bad) == (1, 1, 1)


def test_votes_still_needed_fall_and_do_not_tell_who_leads(file, tmp_path):
    sessions = {
        name: VoteSession(make_items(60), NAMES, tmp_path / f"{name}.jsonl") for name in NAMES
    }
    assert sessions["new"].still_needed(0.2) == votes_needed(0.2)
    for name, session in sessions.items():
        for _ in range(30):
            session.vote(prefer(name)(session.current))
    still = sessions["new"].still_needed(0.2)
    assert still == sessions["old"].still_needed(0.2) < votes_needed(0.2) - 30
    vote_all(sessions["new"], prefer("new"))
    assert sessions["new"].still_needed(0.2) == 0


@pytest.mark.parametrize(("wins", "count"), [(0, 10), (3, 10), (50, 100), (10, 10), (1, 1)])
def test_the_interval_is_wilsons(wins, count):
    expected = stats.binomtest(wins, count).proportion_ci(0.95, method="wilson")
    assert wilson_interval(wins / count, count) == pytest.approx((expected.low, expected.high))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = random.Random(0)
    for chance, half in ((0.5, 0.3), (0.75, 0.1), (0.9, 0.0)):
        held = 0
        for _ in range(1000):
            points = [
                0.5 if rng.random() < half else float(rng.random() < chance) for _ in range(60)
            ]
            low, high = wilson_interval(sum(points) / 60, 60)
            held += low <= half * 0.5 + (1 - half) * chance <= high
        assert held >= 930


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("width", [0.05, 0.2, 0.9])
def test_the_votes_needed_are_enough_and_not_one_too_many(rate, width):
    def is_enough(count):
        low, high = wilson_interval(rate, count)
        return high - low <= width

    count = votes_needed(width, rate)
    assert is_enough(count) and (count == 1 or not is_enough(count - 1))
    assert votes_needed(width, 1 - rate) == count


def test_impossible_questions_are_told():
    for width in (0.0, -1, 1.5, math.nan):
        with pytest.raises(VoteError, match="width"):
            votes_needed(width)
    with pytest.raises(VoteError, match="at least one"):
        wilson_interval(0.5, 0)
