"""Stages: what is built and what is loaded, what changes a key, what an interruption leaves.

Most tests put small builders in place of the real ones: here it matters when a stage is built and
what becomes of its folder, not what is learnt. Those at the end look at a real run.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlhf_tutorial import presets, stages, stages_build, stages_code, stages_disk
from rlhf_tutorial.preferences import PreferenceFileError, load_rankings
from tests.store_cases import ranking

CHAIN = ["base", "sft", "rankings", "reward_model"]


@pytest.fixture
def built(monkeypatch):
    """Builders that write one small file; the list of what they have built, in order."""
    calls = []

    def builder(request, round, folder, ancestors, progress):
        name = folder.name.removeprefix(".").split("-")[0]
        calls.append(name if round == 1 else f"{name}-{round}")
        progress(1, 1)
        (folder / "made.txt").write_text(name)
        return [{"step": 1, "loss": 0.5}]

    for stage in stages.STAGES:
        monkeypatch.setitem(stages_build.BUILDERS, stage, builder)
    return calls


def load(stage: str, folder: Path, **options) -> stages.Artefact:
    return stages.load_or_build(stage, preset="tiny", folder=folder, progress=False, **options)


def kept(folder: Path) -> list[str]:
    """Names of all that lies in a folder, without the keys."""
    return sorted(path.name.rpartition("-")[0] or path.name for path in folder.iterdir())


def break_builder(monkeypatch, stage: str, error: BaseException) -> None:
    """Let a stage fail in the middle, with a file half-written."""

    def builder(request, round, folder, ancestors, progress):
        (folder / "model.safetensors").write_bytes(b"half a mod")
        raise error

    monkeypatch.setitem(stages_build.BUILDERS, stage, builder)


# Building and loading


def test_ancestors_are_built_in_order_and_only_once(built, tmp_path):
    artefact = load("reward_model", tmp_path)
    assert built == CHAIN
    assert artefact.history == [{"step": 1, "loss": 0.5}]
    assert (artefact.path / "made.txt").read_text() == "reward_model"
    assert load("reward_model", tmp_path) == artefact
    assert built == CHAIN
    load("rlhf", tmp_path)
    assert built == [*CHAIN, "rlhf"]


def test_a_finished_stage_needs_its_ancestors_no_more(built, tmp_path):
    shutil.rmtree(load("base", tmp_path).path)
    load("sft", tmp_path)
    shutil.rmtree(load("base", tmp_path).path)
    built.clear()
    load("sft", tmp_path)
    assert built == []


def test_a_stage_says_what_made_it(built, tmp_path):
    about = json.loads((load("sft", tmp_path, seed=7).path / "stage.json").read_text())
    assert {key: about[key] for key in ("stage", "round", "preset", "seed")} == {
        "stage": "sft",
        "round": 1,
        "preset": "tiny",
        "seed": 7,
    }
    assert about["seconds"] >= 0


def test_the_folder_is_the_cache_unless_said_otherwise(built, tmp_path, monkeypatch):
    monkeypatch.setenv("RLHF_TUTORIAL_HOME", str(tmp_path / "home"))
    artefact = stages.load_or_build("base", preset="tiny", progress=False)
    assert artefact.path.parent == tmp_path / "home"
    monkeypatch.delenv("RLHF_TUTORIAL_HOME")
    assert stages.default_folder() == Path.home() / ".cache" / "rlhf_tutorial"


def test_later_rounds_repeat_the_loop_and_not_what_comes_before_it(built, tmp_path):
    load("rlhf", tmp_path)
    built.clear()
    load("rlhf", tmp_path, round=2)
    assert built == ["rankings-2", "reward_model-2", "rlhf-2"]
    assert load("sft", tmp_path, round=2) == load("sft", tmp_path)
    assert built == ["rankings-2", "reward_model-2", "rlhf-2"]
    with pytest.raises(ValueError, match="round is 0: it must be at least 1"):
        load("rlhf", tmp_path, round=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stage": "rhlf"}, "unknown stage 'rhlf': choose one of base, sft, rankings"),
        ({"stage": "sft", "preset": "quik"}, "unknown preset 'quik': choose one of tiny, quick"),
    ],
)
def test_unknown_names_are_told_with_those_that_exist(built, tmp_path, options, message):
    stage = options.pop("stage")
    with pytest.raises(ValueError, match=message):
        stages.load_or_build(stage, folder=tmp_path / "new", **options)
    assert built == [] and not (tmp_path / "new").exists()


# Keys


def key(stage: str, folder: Path, *, seed: int = 0, round: int = 1, mine: str = "") -> str:
    return stages.key_of(stages.Request("tiny", seed, folder, mine), stage, round)


def change_preset(monkeypatch, **changes) -> None:
    changed = dataclasses.replace(presets.PRESETS["tiny"], **changes)
    monkeypatch.setitem(presets.PRESETS, "tiny", changed)


@pytest.mark.parametrize("stage", stages.STAGES)
def test_seed_round_and_code_change_every_key(stage, tmp_path, monkeypatch):
    before = key(stage, tmp_path)
    assert key(stage, tmp_path / "elsewhere") == before
    assert key(stage, tmp_path, seed=1) != before
    if stage in stages.ROUNDS_OF:
        assert key(stage, tmp_path, round=2) != before
    monkeypatch.setattr(stages, "code_hash", lambda: "other code")
    assert key(stage, tmp_path) != before


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ({"vocabulary": 1024}, 0),
        ({"demonstrations": 97}, 1),
        ({"replies_per_prompt": 3}, 2),
        ({"reward": presets.RewardSettings(epochs=2)}, 3),
    ],
)
def test_a_setting_changes_its_stage_and_all_that_follow(change, first, tmp_path, monkeypatch):
    chain = [*CHAIN, "rlhf"]
    before = {stage: key(stage, tmp_path) for stage in chain}
    change_preset(monkeypatch, **change)
    changed = [stage for stage in chain if key(stage, tmp_path) != before[stage]]
    assert changed == chain[first:]


def test_what_only_evaluation_asks_changes_no_key(tmp_path, monkeypatch):
    before = [key(stage, tmp_path) for stage in stages.STAGES]
    change_preset(monkeypatch, test_prompts=3, safety_prompts=5)
    assert [key(stage, tmp_path) for stage in stages.STAGES] == before


def test_every_number_of_a_preset_is_part_of_a_key_or_of_evaluation(tmp_path, monkeypatch):
    for field in dataclasses.fields(presets.Preset):
        before = [key(stage, tmp_path) for stage in stages.STAGES]
        with monkeypatch.context() as patch:
            patch.setattr(stages, "asdict", lambda _, name=field.name: other_preset(name))
            changed = [key(stage, tmp_path) for stage in stages.STAGES] != before
        assert changed or field.name in ("test_prompts", "safety_prompts"), field.name


def other_preset(name: str) -> dict:
    return dataclasses.asdict(presets.PRESETS["tiny"]) | {name: "another value"}


def test_changed_code_changes_the_hash_and_the_command_line_does_not(tmp_path):
    package = tmp_path / "package"
    shutil.copytree(
        Path(stages.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )

    def hash_now() -> str:
        return stages_code.code_hash.__wrapped__(package)

    before = hash_now()
    assert before == stages.code_hash()
    only_says = ("doctor.py", "doctor_rules_learning.py")  # words of an error, not weights
    for name in ("cli.py", "reporting.py", "presets.py", "new.py", *only_says):
        (package / name).write_text("# other words\n")
        assert hash_now() == before, name
    for name in ("village/gold.py", "village/families/errands.py", "ppo_math.py", "decoding.py"):
        (package / name).write_text((package / name).read_text() + "# other code\n")
        assert hash_now() != before, name
        before = hash_now()


# Interruptions


@pytest.mark.parametrize("error", [ValueError("bad luck"), KeyboardInterrupt(), MemoryError()])
def test_an_interrupted_build_leaves_nothing_and_the_next_goes_on(
    error, built, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        break_builder(patch, "rankings", error)
        with pytest.raises(type(error)):
            load("rlhf", tmp_path)
    assert kept(tmp_path) == ["base", "sft"]
    built.clear()
    load("rlhf", tmp_path)
    assert built == ["rankings", "reward_model", "rlhf"]
    assert kept(tmp_path) == sorted([*CHAIN, "rlhf"])


def leave_partial(folder: Path, process: int) -> Path:
    """What a build of the process would leave if it was killed now."""
    path = folder / f".sft-0123456789{stages_disk.PARTIAL}{process}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"half a mod")
    return path


def test_what_a_killed_process_left_goes_at_the_next_build(built, tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = leave_partial(tmp_path, ended.pid)
    load("base", tmp_path)
    assert not left.exists()
    assert kept(tmp_path) == ["base"]


def test_what_a_living_process_builds_stays(built, tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        its = leave_partial(tmp_path, other.pid)
        load("base", tmp_path)
        assert its.exists()
        # Left behind by an earlier process that had the same number.
        an_hour_ago = time.time() - 3600
        os.utime(its, (an_hour_ago, an_hour_ago))
        load("sft", tmp_path)
        assert not its.exists()
    finally:
        other.kill()
        other.wait()


def test_a_killed_process_with_our_own_number_is_no_hindrance(built, tmp_path):
    # In a container, the next process often has the same number.
    target = load("base", tmp_path).path
    shutil.rmtree(target)
    partial = stages_disk.partial_of(target)
    partial.mkdir()
    (partial / "rest.txt").write_text("of the build before")
    load("base", tmp_path)
    assert not (target / "rest.txt").exists() and not partial.exists()


def test_a_folder_that_does_not_say_what_made_it_is_built_again(built, tmp_path):
    path = load("base", tmp_path).path
    (path / "stage.json").unlink()
    (path / "foreign.txt").write_text("")
    load("base", tmp_path)
    assert built == ["base", "base"]
    assert not (path / "foreign.txt").exists()


def test_of_two_processes_that_build_the_same_the_first_wins(built, tmp_path, monkeypatch):
    def slow_builder(request, round, folder, ancestors, progress):
        target = tmp_path / folder.name.removeprefix(".").split(stages_disk.PARTIAL)[0]
        target.mkdir()
        about = {"stage": "base", "round": 1, "preset": "tiny", "seed": 0, "seconds": 1.0}
        (target / "stage.json").write_text(json.dumps(about))
        (target / "history.json").write_text('[{"from": "the other process"}]')
        return []

    monkeypatch.setitem(stages_build.BUILDERS, "base", slow_builder)
    assert load("base", tmp_path).history == [{"from": "the other process"}]
    assert kept(tmp_path) == ["base"]


def rust_like_error() -> Exception:
    """Tokenizers and safetensors hold the system's error only as text."""
    return Exception("Error while serializing: No space left on device (os error 28)")


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.safetensors"), rust_like_error()],
)
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(error, built, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        break_builder(patch, "sft", error)
        with pytest.raises(OSError, match="disk is full: the stage SFT was not kept") as raised:
            load("rlhf", tmp_path)
    assert raised.value.errno == errno.ENOSPC
    assert "\n" not in str(raised.value)
    assert kept(tmp_path) == ["base"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
def test_a_really_full_device_is_recognised(tmp_path):
    from tests.tiny import tiny_tokenizer

    (tmp_path / "tokenizer.json").symlink_to("/dev/full")
    with pytest.raises(Exception) as raised:  # noqa: B017 - the library raises a bare Exception
        tiny_tokenizer().save_pretrained(tmp_path)
    assert stages_disk.is_full_disk(raised.value)


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(built, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        load("base", tmp_path / "file" / "below")
    assert built == []


# One's own rankings


def my_file(path: Path, *records) -> Path:
    path.write_text("".join(record.to_json() + "\n" for record in records), encoding="utf-8")
    return path


def test_my_rankings_are_part_of_the_key_by_what_they_say(built, tmp_path):
    first = my_file(tmp_path / "first.jsonl", ranking("a"))
    copy = my_file(tmp_path / "copy.jsonl", ranking("a"))
    more = my_file(tmp_path / "more.jsonl", ranking("a"), ranking("b"))
    home = tmp_path / "home"
    without, with_mine, with_copy, with_more = (
        load("rankings", home, my_rankings=file).path for file in (None, first, copy, more)
    )
    assert with_copy == with_mine
    assert len({without, with_mine, with_more}) == 3
    assert built == ["base", "sft", "rankings", "rankings", "rankings"]
    for stage in ("reward_model", "best_ranked_sft", "rlhf"):
        assert key(stage, home) != key(stage, home, mine=str(first))
    for stage in ("base", "sft"):
        assert key(stage, home) == key(stage, home, mine=str(first))


def changed_line(**changes) -> str:
    return json.dumps(json.loads(ranking("b").to_json()) | changes) + "\n"


@pytest.mark.parametrize(
    ("second_line", "message"),
    [
        ("{not json}\n", "line 2"),
        ('{"id": "b", "prompt": "Where?", "chosen": "Here."}\n', "line 2: not a Ranking record"),
        (ranking("a").to_json() + "\n", "line 2: id 'a' already stands on line 1"),
        (changed_line(replies=["Here."]), "line 2: replies: expected 2 to 5 replies, found 1"),
        (changed_line(replies=list("abcdef")), "line 2: replies: expected 2 to 5 .* found 6"),
        (changed_line(tiers=[[0]]), "line 2: tiers"),
    ],
)
def test_a_damaged_file_is_told_with_its_line_before_anything_is_built(
    second_line, message, built, tmp_path
):
    path = tmp_path / "mine.jsonl"
    path.write_text(ranking("a").to_json() + "\n" + second_line, encoding="utf-8")
    with pytest.raises(PreferenceFileError, match=message) as raised:
        load("rlhf", tmp_path / "home", my_rankings=path)
    assert "\n" not in str(raised.value)
    assert built == []


def test_no_file_and_an_empty_file_of_rankings_are_told(built, tmp_path):
    with pytest.raises(ValueError, match="there is no file of rankings .*none.jsonl"):
        load("rlhf", tmp_path, my_rankings=tmp_path / "none.jsonl")
    with pytest.raises(ValueError, match="empty.jsonl holds no ranking"):
        load("rlhf", tmp_path, my_rankings=my_file(tmp_path / "empty.jsonl"))
    assert built == []


# Nothing to learn from


def test_every_algorithm_says_that_it_was_given_nothing():
    from rlhf_tutorial.ppo import PPOSettings, train_ppo
    from rlhf_tutorial.pretraining import PretrainingSettings, pretrain
    from rlhf_tutorial.reward import train_reward_model
    from rlhf_tutorial.sft import train_sft
    from tests.tiny import tiny_model, tiny_reward_model, tiny_tokenizer

    words = tiny_tokenizer()
    model, reference = tiny_model(words), tiny_model(words)
    with pytest.raises(ValueError, match="documents"):
        pretrain(model, words, [], PretrainingSettings(steps=1, time=32), seed=0)
    with pytest.raises(ValueError, match="no demonstrations"):
        train_sft(model, words, [], seed=0)
    with pytest.raises(ValueError, match="rank more prompts"):
        train_reward_model(tiny_reward_model(words), words, [], seed=0)
    with pytest.raises(ValueError, match="no prompts"):
        train_ppo(model, reference, words, [], len, PPOSettings(), seed=0)


# A real run


@pytest.fixture
def finished(tiny_run, monkeypatch):
    """The artefacts of the real run, in which nothing may be built any more."""

    def refuse(request, round, folder, ancestors, progress):
        pytest.fail(f"{folder.name} is built again")

    for stage in stages.STAGES:
        monkeypatch.setitem(stages_build.BUILDERS, stage, refuse)
    return tiny_run.folder / "artefacts"


@pytest.mark.medium
def test_all_stages_of_a_run_are_found_again(finished):
    for stage in stages.STAGES:
        assert load(stage, finished).path.parent == finished
    for stage in stages.ROUNDS_OF:
        artefact = load(stage, finished, round=2)
        assert artefact.path.name.startswith(f"{stage}-round2-")
    assert not [path for path in finished.iterdir() if path.name.startswith(".")]


@pytest.mark.medium
def test_artefacts_are_what_other_libraries_read(finished):
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
    )

    for stage in ("base", "sft", "best_ranked_sft", "rlhf"):
        assert AutoModelForCausalLM.from_pretrained(load(stage, finished).path)
    reward_model = load("reward_model", finished)
    plain = AutoModelForSequenceClassification.from_pretrained(reward_model.path)
    assert plain.config.num_labels == 1
    words = AutoTokenizer.from_pretrained(reward_model.path)
    assert words.apply_chat_template(
        [{"role": "user", "content": "Hello"}], tokenize=False, add_generation_prompt=True
    ) == ("<|user|> Hello<|assistant|>")


@pytest.mark.medium
def test_histories_hold_the_curves_of_each_algorithm(finished):
    tiny = presets.PRESETS["tiny"]
    assert len(load("base", finished).history) == tiny.pretraining.steps
    assert "loss" in load("sft", finished).history[-1]
    assert "validation_loss" in load("reward_model", finished).history[-1]
    row = load("rlhf", finished).history[-1]
    assert {"objective/kl", "objective/scores", "policy/clipfrac_avg", "gold"} - {"gold"} <= set(
        row
    )
    assert "gold" in load("rlhf", finished).history[0]


@pytest.mark.medium
def test_rankings_of_the_second_round_join_those_of_the_first(finished):
    tiny = presets.PRESETS["tiny"]
    first = load_rankings(load("rankings", finished).path / "rankings.jsonl")
    both = load_rankings(load("rankings", finished, round=2).path / "rankings.jsonl")
    assert len(first) == tiny.rankings and len(both) == 2 * tiny.rankings
    assert both[: len(first)] == first
    assert {record.model for record in both} == {"sft-1", "rlhf-1"}
    held_out = load_rankings(load("rankings", finished).path / "held_out.jsonl")
    assert len(held_out) == tiny.held_out_rankings
    assert not {record.prompt for record in held_out} & {record.prompt for record in first}


@pytest.mark.medium
def test_my_rankings_are_used(tiny_run, tmp_path):
    folder = tmp_path / "artefacts"
    shutil.copytree(tiny_run.folder / "artefacts", folder)
    mine = my_file(
        tmp_path / "mine.jsonl",
        ranking("mine-1"),
        ranking("mine-2"),
        ranking(
            "mine-3",
            kind="retraction",
            retracts="mine-2",
            prompt="",
            replies=[],
            shown=[],
            tiers=[],
        ),
    )
    found = load_rankings(load("rankings", folder, my_rankings=mine).path / "rankings.jsonl")
    names = [record.id for record in found]
    assert "mine-1" in names and "mine-2" not in names
    assert len(found) == presets.PRESETS["tiny"].rankings + 1
    assert load("reward_model", folder, my_rankings=mine).model().config.num_labels == 1


@pytest.mark.medium
def test_the_rankings_of_an_earlier_run_can_be_mine(tiny_run, tmp_path):
    folder = tmp_path / "artefacts"
    shutil.copytree(tiny_run.folder / "artefacts", folder)
    mine = load("rankings", folder).path / "rankings.jsonl"
    again = load("rankings", folder, my_rankings=mine).path / "rankings.jsonl"
    assert load_rankings(again) == load_rankings(mine)


@pytest.mark.medium
def test_a_tokenizer_of_another_vocabulary_is_noticed(tiny_run, tmp_path):
    from rlhf_tutorial.models import CheckpointError
    from tests.tiny import tiny_tokenizer

    artefact = load("sft", tiny_run.folder / "artefacts")
    copy = shutil.copytree(artefact.path, tmp_path / "sft")
    tiny_tokenizer().save_pretrained(copy)
    with pytest.raises(CheckpointError, match="vocabulary of .* tokens, the tokenizer"):
        dataclasses.replace(artefact, path=copy).model()


@pytest.mark.medium
def test_the_same_seed_gives_the_same_base_model(tiny_run, tmp_path):
    import torch

    again, first = load("base", tmp_path), load("base", tiny_run.folder / "artefacts")
    assert again.path.name == first.path.name
    assert [row["loss"] for row in again.history] == pytest.approx(
        [row["loss"] for row in first.history], rel=1e-3
    )
    for mine, theirs in zip(again.model().parameters(), first.model().parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-3)


@pytest.mark.parametrize(
    ("own", "others", "share", "copies"),
    [(10, 30, 0.5, 3), (10, 30, 0.0, 1), (40, 20, 0.5, 1), (1, 300, 0.5, 20), (5, 0, 0.5, 1)],
)
def test_ones_own_rankings_are_not_drowned(own, others, share, copies):
    mine = [ranking(f"mine-{i}") for i in range(own)]
    theirs = [ranking(f"theirs-{i}") for i in range(others)]
    read = stages_build.weighted(mine + theirs, {r.id for r in mine}, share)
    assert [sum(r.id == one.id for r in read) for one in mine] == [copies] * own
    assert [r for r in read if r.id.startswith("theirs")] == theirs


def test_the_share_of_ones_own_is_part_of_the_key_and_checked(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text(ranking("a").to_json() + "\n")
    keys = [
        stages.key_of(stages.Request("tiny", 0, tmp_path, str(file), share), "reward_model", 1)
        for share in (0.5, 0.8)
    ]
    assert keys[0] != keys[1]
    with pytest.raises(ValueError, match="my_share is 1"):
        stages.load_or_build("base", preset="tiny", folder=tmp_path, my_share=1)


@pytest.mark.medium
def test_the_sft_model_tells_replies_apart_in_every_round(finished, tmp_path, monkeypatch):
    """Nothing in PPO keeps a policy's remarks true."""
    asked = []

    def record(model, tokenizer, rollout, sampled, count, words):
        asked.append(model)
        return [rollout.texts[i : i + count] for i in range(0, len(rollout), sampled)]

    monkeypatch.setattr(stages_build, "most_unlike_each", record)
    request = stages.Request("tiny", 0, finished)
    parents = stages.parents_of("rankings", 2)
    ancestors = {parent: load(parent, finished, round=turn) for parent, turn in parents}
    stages_build.build_rankings(request, 2, tmp_path, ancestors, lambda *_: None)
    sft, policy = (load(stage, finished).model() for stage in ("sft", "rlhf"))
    critic = asked[0].transformer.wte.weight
    assert critic.equal(sft.transformer.wte.weight)
    assert not critic.equal(policy.transformer.wte.weight)
