"""A file of one's own rankings: what cannot be used is told before any stage is built."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny import tiny_tokenizer

from rlhf_tutorial import stages_run
from rlhf_tutorial.own_rankings import check_lengths, check_rankings_file
from rlhf_tutorial.preferences import Ranking
from tests.store_cases import ranking


def file_of(folder, *rankings: Ranking):
    path = folder / "mine.jsonl"
    path.write_text("".join(one.to_json() + "\n" for one in rankings), encoding="utf-8")
    return path


def test_a_usable_file_passes(tmp_path):
    check_rankings_file(file_of(tmp_path, ranking("a")))
    check_lengths([ranking("a")], tiny_tokenizer(), 96)


def test_no_file_and_no_ranking_are_told(tmp_path):
    with pytest.raises(ValueError, match="there is no file of rankings"):
        check_rankings_file(tmp_path / "mine.jsonl")
    with pytest.raises(ValueError, match="holds no ranking"):
        check_rankings_file(file_of(tmp_path))


def test_a_system_turn_is_told_with_the_ranking_that_has_it(tmp_path):
    turns = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]
    other = replace(ranking("other"), prompt=turns)
    with pytest.raises(ValueError, match=f"{other.id}.* has a system turn"):
        check_rankings_file(file_of(tmp_path, ranking("a"), other))


def test_what_does_not_fit_the_context_is_told_with_the_ranking(tmp_path):
    long = ranking("long", replies=["yes", "no " * 200])
    with pytest.raises(ValueError, match=f"{long.id}.*prompt with reply 2 has .* context holds 96"):
        check_lengths([ranking("a"), long], tiny_tokenizer(), 96)


def test_what_a_kill_left_at_the_very_start_makes_no_folder_foreign(tmp_path):
    (tmp_path / f"{stages_run.MARKER}.123.unfinished").write_text("{")
    assert stages_run.open_folder(tmp_path) == tmp_path.resolve()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="not empty and not a run"):
        stages_run.open_folder(tmp_path / "other")
