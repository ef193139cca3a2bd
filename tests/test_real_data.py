"""The same code on text that nobody of this project wrote; skipped where that is not at hand.

The folder is RLHF_TUTORIAL_REAL_DATA, or `shared/data` beside the checkout.
"""

from __future__ import annotations

import warnings

import pytest

from benchmarks.real_preferences import (
    accuracy_with_interval,
    bag_of_words_scores,
    data_folder,
    length_scores,
    outcomes,
    run,
    split,
)
from rlhf_tutorial.datasets_io import (
    read_hh_rows,
    read_oasst,
    read_polite_pairs,
    read_preference_rows,
    to_completion_rows,
    to_hh_rows,
    to_preference_rows,
    write_rows,
)
from rlhf_tutorial.preferences import pairs
from rlhf_tutorial.store import RankingStore, summarise


def real(name: str):
    folder = data_folder()
    if folder is None or not (folder / name).is_file():
        pytest.skip(f"{name} is not here: set RLHF_TUTORIAL_REAL_DATA to the folder that holds it")
    return folder / name


@pytest.fixture(scope="module")
def trees():
    return real("oasst_en_100_trees.jsonl")


@pytest.fixture(scope="module")
def polite():
    return read_polite_pairs(real("polite_preference_1100.json"))


def test_every_ranked_set_and_pair_of_the_trees_is_found(trees):
    # 212 ranked sets and 754 pairs, as the README of the data says.
    thin, whole = read_oasst(trees), read_oasst(trees, oversized="split")
    assert len(thin) == 212
    assert sum(len(pairs(ranking)) for ranking in whole) == 754
    assert max(len(ranking.replies) for ranking in whole) == 5
    assert any(isinstance(ranking.prompt, list) for ranking in thin)


def test_every_polite_pair_is_found(polite):
    assert len(polite) == 1100 == len({ranking.id for ranking in polite})
    same = [ranking for ranking in polite if ranking.replies[0] == ranking.replies[1]]
    assert sum(len(pairs(ranking)) for ranking in polite) == 1100 - len(same)


def test_real_rankings_pass_through_the_store(trees, tmp_path):
    rankings = read_oasst(trees)[:60]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with RankingStore(tmp_path / "oasst.jsonl") as store:
            for ranking in rankings:
                store.append(ranking)
        with RankingStore(tmp_path / "oasst.jsonl") as store:
            assert store.rankings() == rankings
    assert summarise(tmp_path / "oasst.jsonl").problems == []


# One of the real replies is about language models and contains HH-RLHF's own turn marks.
@pytest.mark.filterwarnings("ignore:1 rankings cannot be said in HH-RLHF")
def test_real_rankings_pass_through_every_format(trees, polite, tmp_path):
    path = tmp_path / "rows.jsonl"
    for rankings in (read_oasst(trees), polite):
        count = sum(len(pairs(ranking)) for ranking in rankings)
        assert write_rows(to_preference_rows(rankings), path) == count
        assert sum(len(pairs(ranking)) for ranking in read_preference_rows(path)) == count
        hh_rows = to_hh_rows(rankings, unsayable="skip")
        assert write_rows(hh_rows, path) == len(hh_rows) >= 0.95 * count
        assert sum(len(pairs(ranking)) for ranking in read_hh_rows(path)) == len(hh_rows)
        assert len(to_completion_rows(rankings)) >= len(rankings)


def test_any_real_text_round_trips_through_a_small_tokenizer(trees):
    from rlhf_tutorial.tokenizer import decode_reply, encode_reply, train_tokenizer

    text = real("tinyshakespeare.txt").read_text(encoding="utf-8")
    tokenizer = train_tokenizer([text[:100_000]], vocabulary_size=600)
    replies = [reply for ranking in read_oasst(trees) for reply in ranking.replies]
    for sample in [text[200_000:210_000], *replies]:
        assert decode_reply(tokenizer, encode_reply(tokenizer, sample)) == sample


def test_sft_learns_from_real_replies(trees):
    from rlhf_tutorial.sft import SFTSettings, train_sft
    from rlhf_tutorial.tokenizer import train_tokenizer
    from tests.tiny import tiny_model

    rows = [
        {"prompt": ranking.prompt, "completion": ranking.replies[0][:60]}
        for ranking in read_oasst(trees)
        if isinstance(ranking.prompt, str) and len(ranking.prompt) < 60
    ]
    tokenizer = train_tokenizer([row["completion"] for row in rows], vocabulary_size=400)
    model = tiny_model(tokenizer, initializer_range=0.02)
    history = train_sft(
        model, tokenizer, rows, SFTSettings(epochs=12, batch_size=8, learning_rate=3e-3), seed=0
    )
    assert history[-1]["loss"] < 0.9 * history[0]["loss"]


def test_baselines_find_what_is_there_in_polite_pairs(polite):
    training, held_out = split(polite, seed=0)
    assert not {r.prompt for r in training} & {r.prompt for r in held_out}
    words = accuracy_with_interval(outcomes(bag_of_words_scores(training, held_out), held_out))
    length = accuracy_with_interval(outcomes(length_scores(training, held_out), held_out))
    assert words[0] > 0.85  # politeness is mostly a matter of words
    assert 0.4 < length[0] < 0.65  # and not of length
    assert words[1] < words[0] < words[2]


@pytest.mark.medium
def test_a_reward_model_from_scratch_learns_politeness(polite):
    del polite  # skips when the data is not there
    row = run("polite", data_folder(), seed=0)
    print({name: row[name] for name in ("reward model", "length", "bag of words", "steps")})
    assert row["reward model"][0] >= 0.85
