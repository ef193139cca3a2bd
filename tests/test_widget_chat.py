"""The chat and the blind vote as widgets: what they show, what they hand on, nothing as markup."""

from __future__ import annotations

import re
import warnings

import pytest

from rlhf_tutorial import course, stages_chat
from rlhf_tutorial.voting import VoteSession, chooser
from rlhf_tutorial.widgets import cards, chat
from rlhf_tutorial.widgets import voting as voting_widget
from tests.tiny import tiny_model, tiny_tokenizer

HOSTILE = "<img src=x onerror=alert(1)></script>\x1b[31m\u202e\u200b\ud800"


@pytest.fixture(scope="module")
def models():
    tokenizer = tiny_tokenizer()
    return {
        name: (tiny_model(tokenizer, seed=seed), tokenizer)
        for seed, name in enumerate(stages_chat.NAMES)
    }


def text_of(html: str) -> str:
    return re.sub(r"<[^>]*>", "", html)


def test_all_models_answer_and_the_same_seed_answers_the_same(models):
    first = chat.side_by_side(models, "good day", 1)
    assert list(first.replies) == ["base", "sft", "rlhf"]
    assert first == chat.side_by_side(models, "good day", 1)
    assert first.replies != chat.side_by_side(models, "good day", 2).replies


def test_the_temperature_reaches_the_models(models):
    cold = [chat.side_by_side(models, "the cat", s, temperature=1e-4).replies for s in (1, 2)]
    warm = [chat.side_by_side(models, "the cat", s, temperature=1.5).replies for s in (1, 2)]
    assert cold[0] == cold[1] and warm[0] != warm[1]


def test_words_that_the_village_does_not_know_are_named(models):
    answered = chat.side_by_side(models, "Where is the zeppelin?", 0)
    assert answered.unknown == ("zeppelin",)
    assert "The village does not know: zeppelin." in repr(answered)
    assert "The village does not know: zeppelin." in answered._repr_html_()
    assert "does not know" not in repr(chat.side_by_side(models, "Where is the bread?", 0))


def test_plain_output_has_one_block_a_model_and_short_lines():
    replies = {"base": "\nKit: " + "so on " * 40, "sft": " ", "rlhf": "A day."}
    lines = repr(chat.SideBySide("Hm?", replies, ())).splitlines()
    assert lines[0] == "you:  Hm?" and lines[1].startswith("base: Kit: so on")
    assert lines[-2:] == ["SFT:  (nothing)", "RLHF: A day."]
    assert max(map(len, lines)) <= chat.WIDTH


def test_no_text_is_markup_and_nothing_hidden_acts():
    answered = chat.SideBySide(HOSTILE, dict.fromkeys(stages_chat.NAMES, HOSTILE), (HOSTILE,))
    for shown in (answered._repr_html_(), repr(answered)):
        assert not {"\x1b", "\u202e", "\u200b", "\ud800"} & set(shown)
        assert "\\x1b[31m\\u202e\\u200b\\ud800" in shown
    assert "<img" not in answered._repr_html_() and "</script" not in answered._repr_html_()
    assert answered._repr_html_().count("&lt;img src=x onerror=alert(1)&gt;") == 5


def test_an_empty_prompt_and_a_bad_temperature_are_told(models):
    with pytest.raises(ValueError, match="the prompt is empty"):
        chat.side_by_side(models, "  ")
    with pytest.raises(ValueError, match="temperature is 0"):
        chat.side_by_side(models, "hi", temperature=0)


def test_suggestions_come_from_all_families_and_are_known():
    from rlhf_tutorial.village.prompts import parse
    from rlhf_tutorial.village.vocabulary import unknown_words

    suggested = chat.suggestions(8)
    assert len({parse(prompt).family for prompt in suggested}) == 8
    assert not [word for prompt in suggested for word in unknown_words(prompt)]


def test_the_widget_asks_what_is_typed_and_what_is_pressed(models):
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        talk = chat.Chat(models, ["good day", "hi"])
    talk.text.value = "the cat"
    talk.ask_button.click()
    assert "the cat" in text_of(talk.shown.value) and "SFT" in talk.shown.value
    talk.text._handle_string_msg(None, {"event": "submit"}, None)  # the Enter key
    first = talk.shown.value
    talk.suggested[1].click()
    assert talk.text.value == "hi" and "you: hi" in text_of(talk.shown.value) != text_of(first)
    assert not talk.ask_button.disabled


def test_each_question_has_a_seed_of_its_own(models):
    talk = chat.Chat(models, ["the cat"])
    shown = []
    for _ in range(2):
        talk.suggested[0].click()
        shown.append(talk.shown.value)
    assert shown[0] != shown[1]


def test_what_cannot_be_answered_is_told_in_the_widget(models):
    talk = chat.Chat(models, [])
    for prompt, words in (("", "the prompt is empty"), ("cat " * 200, "shorten it")):
        talk.text.value = prompt
        talk.ask_button.click()
        assert words in talk.shown.value and not talk.ask_button.disabled


def test_without_a_reader_two_suggestions_are_asked_and_it_is_said(models, monkeypatch, capsys):
    monkeypatch.setenv("RLHF_TUTORIAL_HEADLESS", "1")
    chat.show(models, ["good day", "hi", "yes"])
    printed = capsys.readouterr().out
    assert "Nobody sits here" in printed
    assert "you:  good day" in printed and "you:  hi" in printed and "yes" not in printed


def test_the_course_without_own_rankings_hands_that_on(monkeypatch):
    asked = []

    class Artefact:
        def model(self):
            return "model"

        def tokenizer(self):
            return "tokenizer"

    def artefact(stage, *, with_mine):
        asked.append((stage, with_mine))
        return Artefact()

    monkeypatch.setattr(course, "artefact", artefact)
    found = chat.load_models(with_mine=False)
    assert asked == [("base", False), ("sft", False), ("rlhf", False)]
    assert found["rlhf"] == ("model", "tokenizer")


def make_session(tmp_path, replies=("good", "bad")) -> VoteSession:
    items = [(f"Question {n}?", f"{replies[0]} {n}", f"{replies[1]} {n}") for n in range(3)]
    return VoteSession(items, ("RLHF", "SFT"), tmp_path / "votes.jsonl")


def test_the_vote_shows_two_replies_and_no_names_until_the_end(tmp_path):
    session = make_session(tmp_path)
    asked = []
    view = voting_widget.VoteView(session, when_done=lambda: asked.append(True))
    seen = []
    while session.current is not None:
        seen += [view.pair.value, view.progress.value, view.message.value]
        assert session.current.left in view.pair.value and view.names.disabled
        view.buttons["left"].click()
    seen += [view.pair.value, view.progress.value, view.message.value]
    assert "RLHF" not in "".join(seen) and "SFT" not in "".join(seen)
    assert "3 of 3 votes" in view.progress.value and view.buttons["left"].disabled
    view.names.click()
    assert "Win rate of RLHF over SFT" in view.message.value and asked == [True]
    assert view.undo.disabled


def test_the_vote_can_be_undone_and_ended(tmp_path):
    session = make_session(tmp_path)
    view = voting_widget.VoteView(session)
    view.undo.click()
    assert "no vote to take back" in view.message.value
    view.buttons["tie"].click()
    assert view.message.value == "" and session.done == 1
    view.undo.click()
    assert session.done == 0
    view.finish.click()
    view.names.click()
    assert "no vote was given" in view.message.value and not view.names.disabled


def test_a_vote_that_was_ended_says_so_and_goes_on_after_undo(tmp_path):
    session = make_session(tmp_path)
    view = voting_widget.VoteView(session)
    view.buttons["tie"].click()
    view.finish.click()
    assert "The vote is ended" in view.pair.value and session.done == 1
    view.undo.click()
    assert session.current is not None and session.done == 1
    for _ in range(2):
        view.buttons["left"].click()
    assert "Every pair has its vote" in view.pair.value


def test_a_vote_that_is_not_saved_is_told_and_can_be_given_again(tmp_path, monkeypatch):
    session = make_session(tmp_path)
    view = voting_widget.VoteView(session)

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        view.buttons["left"].click()
    assert "No space left" in view.message.value and session.done == 0
    view.buttons["left"].click()
    assert session.done == 1


def test_the_vote_shows_hostile_replies_harmlessly(tmp_path):
    view = voting_widget.VoteView(make_session(tmp_path, (HOSTILE, "fine")))
    assert "<img" not in view.pair.value and "\u202e" not in view.pair.value
    assert "&lt;img src=x onerror=alert(1)&gt;" in view.pair.value


def test_without_a_reader_a_stand_in_votes_and_it_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RLHF_TUTORIAL_HEADLESS", "1")
    session = make_session(tmp_path)
    voting_widget.show(session, chooser(lambda prompt, reply: float(reply.startswith("good"))))
    assert "simulated stand-in voted. 3 of 3 votes" in capsys.readouterr().out
    assert session.result().mean == 1.0


def test_line_breaks_stay_and_an_empty_reply_is_said():
    assert cards.safe("a\r\nb & c") == "a\nb &amp; c"
    assert "(nothing)" in cards.card("left", " \n")
