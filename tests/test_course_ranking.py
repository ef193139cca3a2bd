"""The stand-in ranks as the widget does and only once; items stay; the button goes on."""

from __future__ import annotations

import random

import pytest

from rlhf_tutorial import course, course_profile, course_ranking, course_stand_in
from rlhf_tutorial.preferences import load_rankings
from rlhf_tutorial.ranking_items import Item
from rlhf_tutorial.ranking_session import RankingSession
from rlhf_tutorial.stages import Artefact
from rlhf_tutorial.store import RankingStore
from rlhf_tutorial.village.annotators import Annotator

PROMPT = "Please bring the drum to Rosa at the inn."
RIGHT = "I will bring the drum to Rosa at the inn."
RUDE = "Are you deaf? I will bring the drum to Rosa at the inn. Leave me in peace."
VAGUE = "Errands are a part of life."
ITEMS = [
    Item(PROMPT, [VAGUE, RIGHT, RUDE]),
    Item("Who is the mason?", ["Gus.", "I do not know.", "Gus.", "A mason."]),
    Item("What does Ada do?", ["Ada sings.", "Let me think."]),
    Item("Where does Ada live?", ["By the mill.", "Somewhere."]),
]


@pytest.fixture(autouse=True)
def headless_run(tmp_path, monkeypatch):
    monkeypatch.setenv("RLHF_TUTORIAL_HOME", str(tmp_path))
    monkeypatch.setenv("RLHF_TUTORIAL_HEADLESS", "1")
    monkeypatch.delenv("RLHF_TUTORIAL_SEED", raising=False)


def test_the_stand_in_ranks_all_once_and_writes_nothing_the_second_time():
    session = course_ranking.open_session(ITEMS, repeat=0.5)
    assert course_stand_in.rank_all(session) == 6
    first = course.rankings_file().read_bytes()
    again = course_ranking.open_session(ITEMS, repeat=0.5)
    assert course_stand_in.rank_all(again) == 0
    assert course.rankings_file().read_bytes() == first
    mine = course.own_rankings()
    assert len(mine) == 6 and {ranking.annotator for ranking in mine} == {course.STAND_IN}
    assert sum(ranking.repeat_of is not None for ranking in mine) == 2
    assert all(ranking.seconds >= course_stand_in.SECONDS_TO_DECIDE for ranking in mine)
    assert course.whose(mine).startswith("6 rankings are a simulated stand-in's")


def test_skips_are_nobodys_rankings_and_another_name_in_the_file_is_the_readers():
    session = RankingSession(ITEMS, "anonymous", RankingStore(course.rankings_file()))
    session.skip("cannot tell")
    session.submit([[place] for place in range(len(session.shown))])
    session.store.close()
    everything = load_rankings(course.rankings_file())
    assert len(everything) == 2
    assert course.whose(everything).startswith("1 rankings are")


def test_a_session_broken_off_ends_with_the_same_orders():
    course_stand_in.rank_all(course_ranking.open_session(ITEMS[:2], repeat=0))
    course_stand_in.rank_all(course_ranking.open_session(ITEMS, repeat=0.5))
    in_two_goes = [ranking.tiers for ranking in course.own_rankings()]
    course.rankings_file().unlink()
    course_stand_in.rank_all(course_ranking.open_session(ITEMS, repeat=0.5))
    assert [ranking.tiers for ranking in course.own_rankings()] == in_two_goes


def test_positions_on_the_screen_lead_to_the_replies_that_are_meant():
    """A person without noise: whatever order the screen has, the right reply is best."""
    sure = Annotator("sure", temperature=1e-9, position_bias=0.0, length_bias=0.0)
    for seed in range(6):
        screen = random.Random(seed).sample(ITEMS[0].replies, 3)
        tiers = course_stand_in.order_on_screen(sure, PROMPT, screen, random.Random(seed))
        assert [screen[place] for (place,) in tiers] == [RIGHT, RUDE, VAGUE]


def test_the_top_of_the_screen_pulls_and_equal_words_are_tied():
    hasty = Annotator("hasty", temperature=1e-9, position_bias=9.0, length_bias=0.0)
    assert course_stand_in.order_on_screen(
        hasty, PROMPT, [VAGUE, RUDE, RIGHT], random.Random(0)
    ) == [
        [0],
        [1],
        [2],
    ]
    tied = course_stand_in.order_on_screen(
        course_stand_in.person(), PROMPT, [RIGHT, VAGUE, RIGHT], random.Random(0)
    )
    assert sorted(tied) == [[0, 2], [1]]


def test_a_file_of_two_names_gives_a_profile_of_the_readers_own(capsys):
    """The terminal ranks as "anonymous", the notebook as the reader, into the same file."""
    session = course_ranking.open_session(ITEMS[:1], repeat=0)
    other = RankingSession(ITEMS, "anonymous\x1b", session.store)
    while other.current is not None:
        other.submit([*range(len(other.shown))])
    only_other = course_ranking.of_one_person(course.own_rankings())
    assert len(only_other) == 4 and capsys.readouterr().out == ""
    course_stand_in.rank_all(session)
    both = course.own_rankings()
    with pytest.raises(ValueError, match="rankings of 2 people"):
        course_profile.profile(both)
    own = course_ranking.of_one_person(both)
    assert [ranking.annotator for ranking in own] == [course.STAND_IN]
    told = capsys.readouterr().out
    assert "about stand-in alone (1 of 5); left out: 4 by anonymous\\x1b." in told
    assert course_profile.profile(own, people=[]).weights.items == 1
    bea = RankingSession(ITEMS[:1], "bea", session.store)
    bea.skip("dull")
    strangers = [ranking for ranking in session.store.rankings() if ranking not in own]
    assert {r.annotator for r in course_ranking.of_one_person(strangers)} == {"anonymous\x1b"}


def test_items_stay_for_a_model_and_change_with_it(tmp_path):
    writer = Artefact("sft", 1, tmp_path / "sft-aaa", 0.0, [])
    assert course_ranking.keep_items(ITEMS, writer) == ITEMS
    assert course_ranking.keep_items(ITEMS[:1], writer) == ITEMS
    other = Artefact("sft", 1, tmp_path / "sft-bbb", 0.0, [])
    assert course_ranking.keep_items(ITEMS[:1], other) == ITEMS[:1]


def test_the_button_runs_its_action_each_time_and_comes_back_after_an_error():
    pressed = []

    def action():
        pressed.append("pressed")
        raise ValueError("the disk is full")

    button = course_ranking.go_on_button(action).children[0]
    button.click()
    assert not button.disabled
    button.click()
    assert len(pressed) == 2


def test_without_rankings_going_on_says_what_to_do(capsys):
    course_ranking.go_on()
    assert "Rank at least one item" in capsys.readouterr().out


def test_going_on_builds_both_models_and_says_whose_rankings_they_read(monkeypatch, capsys):
    course_stand_in.rank_all(course_ranking.open_session(ITEMS, repeat=0))
    asked = []

    def artefact(stage):
        asked.append(stage)
        return Artefact(stage, 1, course.run_folder(), 0.0, [])

    (course.run_folder() / "rankings.jsonl").write_bytes(course.rankings_file().read_bytes())
    monkeypatch.setattr(course, "artefact", artefact)
    course_ranking.go_on()
    assert asked == ["rankings", "reward_model", "rlhf"]
    assert "4 rankings are" in capsys.readouterr().out
