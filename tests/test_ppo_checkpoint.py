"""PPO that goes on from a checkpoint: the same bits as the run never stopped, wherever it stopped.

Equal means equal here: histories and weights are compared without a tolerance.
"""

from __future__ import annotations

import copy
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from tiny import tiny_model, tiny_tokenizer

from rlhf_tutorial import ppo_checkpoint
from rlhf_tutorial.models import CheckpointError
from rlhf_tutorial.policy_with_value import PolicyWithValue
from rlhf_tutorial.ppo import PPOError, PPOSettings, train_ppo

PROMPTS = ["hi", "where is the cat", "good day", "no", "thank you and your dog", "yes please"]
PROMPTS += ["cat yes", "dog here", "day yes", "is the dog here", "please"]
# Eleven prompts in batches of eight: the order ends inside a batch, and is drawn anew.
SETTINGS = PPOSettings(
    steps=6,
    batch_size=8,
    epochs=2,
    minibatches=2,
    micro_batch_size=3,
    max_new_tokens=6,
    learning_rate=3e-3,
    kl_coefficient=0.1,
    kl_target=0.5,
)
TWO = replace(SETTINGS, steps=2)


class Stopped(Exception):
    """What a callback raises here in place of a kill."""


def likes_short(rollout):
    return -rollout.reply_mask.sum(1).float()


def new_policy(**changes) -> PolicyWithValue:
    return PolicyWithValue(tiny_model(tiny_tokenizer(), **changes))


def run(
    folder: Path | None = None,
    settings: PPOSettings = SETTINGS,
    *,
    stop_after: int = 0,
    every: int = 1,
    prompts=PROMPTS,
    seed: int = 3,
    reward=likes_short,
    policy: PolicyWithValue | None = None,
    reference=None,
    look=None,
    **options,
):
    """Train a new policy; return `(policy, history)`. `look` is called with each step's rollout."""
    policy = policy or new_policy()
    reference = reference or tiny_model(tiny_tokenizer(), seed=1)

    def callback(step, model, rollout, row):
        row["seen by the callback"] = step / 3
        if look:
            look(step, rollout)
        if step == stop_after:
            raise Stopped

    history = train_ppo(
        policy,
        reference,
        tiny_tokenizer(),
        prompts,
        reward,
        settings,
        seed=seed,
        callbacks=[callback],
        checkpoint=folder,
        checkpoint_every=every,
        **options,
    )
    return policy, history


def assert_same(one, other) -> None:
    """Histories and weights of two runs, to the bit."""
    assert one[1] == other[1]
    state, other_state = one[0].state_dict(), other[0].state_dict()
    assert list(state) == list(other_state)
    for name, value in state.items():
        assert torch.equal(value, other_state[name]), name


def kept_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def unbroken():
    """The run without a checkpoint, to which all others are held."""
    return run()


@pytest.fixture(scope="module")
def four_of_six(tmp_path_factory):
    """The checkpoint of step 4 of the same run, stopped in step 5."""
    folder = tmp_path_factory.mktemp("four")
    with pytest.raises(Stopped):
        run(folder, stop_after=5, every=2)
    assert kept_in(folder) == ["ppo-step-000004"]
    return folder


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    """A finished run of two steps: its folder, and `(policy, history)`."""
    folder = tmp_path_factory.mktemp("two")
    return folder, run(folder, TWO)


def test_the_unbroken_run_has_all_that_a_checkpoint_must_carry(unbroken):
    """Else the tests below could pass with half of it forgotten."""
    _, history = unbroken
    betas = [row["objective/kl_coef"] for row in history]
    assert len(set(betas)) == SETTINGS.steps, "beta must adapt at every step"
    assert len({row["lr"] for row in history}) == SETTINGS.steps
    assert SETTINGS.steps * SETTINGS.batch_size > 4 * len(PROMPTS), "prompts must run out"
    assert max(row["val/ratio_var"] for row in history) > 0, "the policy must move"


@pytest.mark.parametrize(
    ("stop_after", "every"), [*((step, 1) for step in range(1, 7)), (5, 2), (6, 4)]
)
def test_stopped_at_any_step_it_goes_on_to_the_same_bits(stop_after, every, unbroken, tmp_path):
    with pytest.raises(Stopped):
        run(tmp_path, stop_after=stop_after, every=every)
    done = (stop_after - 1) // every * every  # the callback came before step stop_after was kept
    steps = []
    torch.manual_seed(99)  # the global random state must not matter
    resumed = run(tmp_path, every=every, progress=lambda step, total: steps.append(step), seed=3)
    assert steps == list(range(done + 1, SETTINGS.steps + 1)), "it must not begin again"
    assert_same(resumed, unbroken)
    assert kept_in(tmp_path) == ["ppo-step-000006"]


def test_a_plain_language_model_goes_on_too(four_of_six, unbroken, tmp_path):
    """Its value head is made inside `train_ppo`, and must be loaded all the same."""
    folder = shutil.copytree(four_of_six, tmp_path / "copy")
    model, history = run(folder, every=2, policy=tiny_model(tiny_tokenizer(), seed=5))
    assert history == unbroken[1]
    for name, value in unbroken[0].policy.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_the_prompts_go_on_where_they_were(tmp_path):
    asked, asked_again = [], []
    settings = replace(SETTINGS, steps=4)
    run(None, settings, look=lambda step, rollout: asked.append(rollout.prompts))
    look = lambda step, rollout: asked_again.append(rollout.prompts)  # noqa: E731
    with pytest.raises(Stopped):
        run(tmp_path, settings, stop_after=3, look=look)
    asked_again.pop()  # step 3 was not kept, and comes again
    run(tmp_path, settings, look=look)
    assert asked_again == asked
    assert asked[0] + asked[1] != asked[2] + asked[3]


@pytest.mark.parametrize("stop_after", [2, 4])
def test_a_head_that_warms_up_goes_on(stop_after, tmp_path):
    """While warming, the trunk has no gradient and the optimizer no moments of it."""
    settings = replace(SETTINGS, steps=4, value_warmup_steps=2, whiten_rewards=True)
    with pytest.raises(Stopped):
        run(tmp_path, settings, stop_after=stop_after)
    assert_same(run(tmp_path, settings), run(None, settings))


def test_a_finished_run_comes_back_at_once(two_steps):
    folder, first = two_steps

    def never(*_):
        pytest.fail("a finished run samples nothing")

    assert_same(run(folder, TWO, reward=never, policy=new_policy(seed=7)), first)


def test_a_run_ended_by_its_budget_stays_ended(tmp_path):
    """Its last step is kept although `every` does not ask for it."""
    settings = replace(SETTINGS, kl_budget=-9.0, kl_window=3)
    first = run(tmp_path, settings, every=50)
    assert [row.get("stopped", "")[:2] for row in first[1]] == ["", "", "KL"]
    assert_same(run(tmp_path, settings, reward=None), first)


@pytest.mark.parametrize("stop_after", [2, 3])
def test_the_window_of_the_budget_looks_back_over_the_stop(stop_after, tmp_path):
    settings = replace(SETTINGS, kl_budget=-9.0, kl_window=3)
    with pytest.raises(Stopped):
        run(tmp_path, settings, stop_after=stop_after)
    assert_same(run(tmp_path, settings), run(None, settings))


@pytest.mark.parametrize("stop_after", [2, 3])
def test_patience_with_a_collapse_looks_back_over_the_stop(stop_after, tmp_path):
    settings = replace(SETTINGS, entropy_floor=99.0, collapse_patience=3)
    with pytest.raises(PPOError) as unbroken:
        run(None, settings)
    with pytest.raises((Stopped, PPOError)):
        run(tmp_path, settings, stop_after=stop_after)
    with pytest.raises(PPOError, match="step 3: the policy has collapsed") as resumed:
        run(tmp_path, settings)
    assert resumed.value.history == unbroken.value.history


# ---- writing that fails ----


def fail_at(place: str, monkeypatch) -> None:
    """Let the writing of the next checkpoint die at a place."""
    import safetensors.torch

    def die(*_):
        raise OSError(28, "No space left on device")

    def half(path: Path) -> None:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        die()

    if place == "before the state":
        monkeypatch.setattr(safetensors.torch, "save_file", die)
    elif place == "within the state":
        save_file = safetensors.torch.save_file
        halved = lambda state, path: (save_file(state, path), half(Path(path)))  # noqa: E731
        monkeypatch.setattr(safetensors.torch, "save_file", halved)
    elif place == "putting the state on the disk":
        monkeypatch.setattr(os, "fsync", die)
    elif place.startswith("within "):
        write_whole = ppo_checkpoint.write_whole

        def halved(path, texts):
            write_whole(path, texts)
            if path.name == place.removeprefix("within "):
                half(path)

        monkeypatch.setattr(ppo_checkpoint, "write_whole", halved)
    elif place == "before the new name":
        monkeypatch.setattr(Path, "rename", die)
    else:
        pytest.fail(place)


PLACES = [
    "before the state",
    "within the state",
    "putting the state on the disk",
    f"within {ppo_checkpoint.RUN}",
    f"within {ppo_checkpoint.SUMS}",
    "before the new name",
]


@pytest.mark.parametrize("killed", [False, True], ids=["full disk", "killed"])
@pytest.mark.parametrize("place", PLACES)
def test_writing_that_fails_leaves_the_checkpoint_before(
    place, killed, four_of_six, unbroken, tmp_path, monkeypatch
):
    shutil.copytree(four_of_six, tmp_path, dirs_exist_ok=True)
    with monkeypatch.context() as patched:
        fail_at(place, patched)
        if killed:  # who is killed clears nothing away
            patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(OSError, match="checkpoint of step 6 was not written.*No space left"):
            run(tmp_path, every=2)
    assert kept_in(tmp_path) == ["ppo-step-000004", "ppo-step-000006.unfinished"][: 1 + killed]
    steps = []
    resumed = run(tmp_path, every=2, progress=lambda step, total: steps.append(step))
    assert steps == [5, 6]
    assert_same(resumed, unbroken)
    assert kept_in(tmp_path) == ["ppo-step-000006"]


def test_killed_while_the_old_one_goes_the_new_one_is_there(
    four_of_six, unbroken, tmp_path, monkeypatch
):
    shutil.copytree(four_of_six, tmp_path, dirs_exist_ok=True)
    rmtree = shutil.rmtree

    def half_gone(path, **options):
        if path.name == "ppo-step-000004":
            (path / ppo_checkpoint.SUMS).unlink()
            raise Stopped
        rmtree(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", half_gone)
        with pytest.raises(Stopped):
            run(tmp_path)
    assert kept_in(tmp_path) == ["ppo-step-000004", "ppo-step-000005"]
    assert_same(run(tmp_path), unbroken)
    assert kept_in(tmp_path) == ["ppo-step-000006"]


def test_what_json_cannot_hold_is_told(tmp_path):
    def adds_a_tensor(step, model, rollout, row):
        row["scores"] = torch.zeros(3)

    with pytest.raises(CheckpointError, match="step 1 cannot be kept as JSON .*Tensor.*numbers"):
        train_ppo(
            new_policy(),
            tiny_model(tiny_tokenizer()),
            tiny_tokenizer(),
            PROMPTS,
            likes_short,
            SETTINGS,
            seed=0,
            callbacks=[adds_a_tensor],
            checkpoint=tmp_path,
            checkpoint_every=1,
        )


def test_only_the_main_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(Accelerator, "is_main_process", False)
    run(tmp_path / "none", replace(SETTINGS, steps=1))
    assert not (tmp_path / "none").exists()


def test_a_checkpoint_that_not_all_processes_find_is_told(two_steps, monkeypatch):
    monkeypatch.setattr(Accelerator, "reduce", lambda self, value, how: value / 2)
    with pytest.raises(CheckpointError, match="not all processes find the same checkpoint"):
        run(two_steps[0], TWO)


# ---- refusals ----


def refused(folder: Path, message: str, settings=None, **options) -> None:
    policy = new_policy(**options.pop("shape", {}))
    before = copy.deepcopy(policy.state_dict())
    contents = kept_in(folder)
    with pytest.raises(CheckpointError, match=message) as error:
        run(folder, settings or TWO, policy=policy, **options)
    assert "\n" not in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in policy.state_dict().items())
    assert kept_in(folder) == contents


ADVICE = "; go on with what it was made with, or give checkpoint another folder"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 4}, "of another run: seed is 3 there and 4 here"),
        ({"prompts": PROMPTS[:-1]}, "of prompts is 11 prompts .* there and 10 prompts .* here"),
        ({"prompts": PROMPTS[::-1]}, "the list of prompts is 11 prompts .* there and 11 prompts"),
        ({"shape": {"n_layer": 1}}, "the policy's shape is .* weights .* there and .* weights"),
        ({"reference": tiny_model(tiny_tokenizer(), seed=2)}, "the reference is .* there and"),
        (
            {"settings": replace(SETTINGS, steps=2, learning_rate=1e-3, kl_target=None)},
            "run: learning_rate is 0.003 there and 0.001 here; kl_target is 0.5 there and None",
        ),
        ({"settings": replace(SETTINGS, steps=3)}, "run: steps is 2 there and 3 here"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(options, message, two_steps):
    refused(two_steps[0], f"{message}.*{ADVICE}", **options)


@pytest.mark.parametrize("name", [ppo_checkpoint.STATE, ppo_checkpoint.RUN, ppo_checkpoint.SUMS])
@pytest.mark.parametrize("damage", ["gone", "cut", "empty", "a bit", "longer"])
def test_a_damaged_checkpoint_is_refused(damage, name, two_steps, tmp_path):
    folder = shutil.copytree(two_steps[0], tmp_path / "copy")
    file = folder / "ppo-step-000002" / name
    whole = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage == "a bit":
        whole[len(whole) // 2] ^= 1
        file.write_bytes(whole)
    else:
        file.write_bytes({"cut": whole[:-9], "empty": b"", "longer": whole + b" "}[damage])
    refused(folder, "ppo-step-000002 is damaged.*delete that folder, and the run starts again")


def test_a_file_in_place_of_a_folder_and_a_wrong_interval_are_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file is a file: give checkpoint a folder"):
        run(tmp_path / "file")
    with pytest.raises(ValueError, match="checkpoint_every is 0: it must be at least 1"):
        run(tmp_path / "folder", every=0)


def test_other_things_in_the_folder_are_left_alone(two_steps, tmp_path):
    (tmp_path / "ppo-step-notes").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    run(tmp_path, TWO)
    assert kept_in(tmp_path) == ["mine.txt", "ppo-step-000002", "ppo-step-notes"]
    assert_same(run(tmp_path, TWO), two_steps[1])
