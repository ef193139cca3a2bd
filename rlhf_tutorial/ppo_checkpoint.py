"""Checkpoints of a run of PPO, from which it goes on as if it had never stopped, bit for bit.

A checkpoint is a folder, `ppo-step-000010`, with the weights and the optimizer's moments in
`state.safetensors`, all else in `run.json`, and what both must hash to in `SHA256SUMS`. It is
written under another name and renamed when it is on the disk, and only then does the one before it
go: whatever interrupts the writing, the newest folder of that name is whole.

Little else needs to be kept, because the rest follows from the step: the seed of sampling, the
learning rate and the place in the shuffled prompts. The windows of `kl_window` and
`collapse_patience` look back into the history.

Simplified: one run a folder, without a lock. What the reward and the callbacks keep to themselves
is not in it, nor is a gradient scaler of half precision. Nobody can compare two reward functions:
whoever changes the reward takes another folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from rlhf_tutorial.models import CheckpointError, count_weights
from rlhf_tutorial.tokenizer import encode_prompts
from rlhf_tutorial.whole_file import write_whole

NAME = "ppo-step-"  # then the number of steps done
UNFINISHED = ".unfinished"
STATE, RUN, SUMS = "state.safetensors", "run.json", "SHA256SUMS"
WEIGHT, MOMENTS = "weight", ("step", "exp_avg", "exp_avg_sq")  # AdamW's names


class PPOCheckpoint:
    """Where a run is kept every `every` steps and at its end; with `folder` None, nowhere.

    `actor` is the PolicyWithValue that learns, `optimizer` the AdamW over its parameters. Raises
    ValueError when `every` is below 1.
    """

    def __init__(self, folder: Path | str | None, every: int, actor, optimizer, accelerator):
        if every < 1:
            raise ValueError(f"checkpoint_every is {every}: it must be at least 1")
        self.folder = None if folder is None else Path(folder)
        self.every, self.actor, self.optimizer = every, actor, optimizer
        self.accelerator = accelerator

    def begin(self, settings, seed: int, tokenizer, prompts: Sequence, reference):
        """History and beta to start from: of a new run, or of the checkpoint, which is then loaded.

        Raises CheckpointError for a checkpoint that is damaged or of another run.
        """
        self.settings = settings
        fresh = [], settings.kl_coefficient
        if self.folder is None:
            return fresh
        if self.folder.exists() and not self.folder.is_dir():
            raise CheckpointError(f"{self.folder} is a file: give checkpoint a folder")
        self.run = describe(
            settings, seed, tokenizer, prompts, reference, self.actor, self.accelerator
        )
        latest = max(self._kept(), key=_step_of, default=None)
        history, beta = fresh if latest is None else self._load(latest)
        steps = torch.tensor(float(len(history)), device=self.accelerator.device)
        if float(self.accelerator.reduce(steps, "mean")) != len(history):
            raise CheckpointError(
                f"not all processes find the same checkpoint in {self.folder}: put it on a disk "
                "that all of them see"
            )
        return history, beta

    def save_if_due(self, history: list[dict], beta: float) -> None:
        """Keep the run after its last row, if that step is one to keep; the main process writes.

        Raises CheckpointError for a row that is not JSON and OSError when the disk refuses; the
        checkpoint before is then still there.
        """
        step = len(history)
        due = step % self.every == 0 or step == self.settings.steps or "stopped" in history[-1]
        if self.folder is None or not due or not self.accelerator.is_main_process:
            return
        try:
            told = {"run": self.run, "step": step, "beta": beta, "history": history}
            text = json.dumps(told, indent=1) + "\n"
        except TypeError as error:
            raise CheckpointError(
                f"the history up to step {step} cannot be kept as JSON ({error}): let callbacks "
                "add nothing but numbers and texts to a row"
            ) from None
        self._write(step, text)

    def _write(self, step: int, text: str) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        target = self.folder / f"{NAME}{step:06}"
        unfinished = target.with_name(target.name + UNFINISHED)
        try:
            for left in self.folder.glob(f"{NAME}*{UNFINISHED}"):  # by a killed process
                shutil.rmtree(left)
            unfinished.mkdir(parents=True)
            save_file(self._state(), unfinished / STATE)
            with open(unfinished / STATE, "rb+") as file:
                os.fsync(file.fileno())
            write_whole(unfinished / RUN, [text])
            write_whole(unfinished / SUMS, [_sums(unfinished)])
            before = self._kept()
            unfinished.rename(target)
        except (OSError, SafetensorError) as error:
            raise OSError(
                f"the checkpoint of step {step} was not written to {self.folder}: {error}; make "
                "room or take another folder, and start again; no older checkpoint is lost"
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        for folder in before:
            shutil.rmtree(folder, ignore_errors=True)

    def _kept(self) -> list[Path]:
        """The checkpoints in the folder: one, or two where a process was killed between them."""
        return [path for path in self.folder.glob(f"{NAME}*") if path.name[len(NAME) :].isdecimal()]

    def _load(self, path: Path) -> tuple[list[dict], float]:
        from safetensors.torch import load_file

        try:
            whole = (path / SUMS).read_bytes() == _sums(path).encode()
        except OSError:
            whole = False
        if not whole:
            raise CheckpointError(
                f"the checkpoint {path} is damaged, or was changed by hand: delete that folder, "
                "and the run starts again"
            )
        told = json.loads((path / RUN).read_text(encoding="utf-8"))
        others = [
            f"{name} is {told['run'].get(name)} there and {here} here"
            for name, here in self.run.items()
            if told["run"].get(name) != here
        ]
        if others:
            raise CheckpointError(
                f"the checkpoint {path} is of another run: {'; '.join(others)}; go on with what "
                "it was made with, or give checkpoint another folder"
            )
        self._set_state(load_file(path / STATE))
        return told["history"], told["beta"]

    def _weights(self) -> list[tuple[str, torch.nn.Parameter]]:
        """Names and weights in the optimizer's order, by which it numbers their moments."""
        names = {weight: name for name, weight in self.actor.named_parameters()}
        groups = self.optimizer.param_groups
        return [(names[weight], weight) for group in groups for weight in group["params"]]

    def _state(self) -> dict[str, torch.Tensor]:
        """Weights and moments by name; a parameter without a gradient so far has no moments."""
        moments = self.optimizer.state_dict()["state"]
        state = {}
        for index, (name, parameter) in enumerate(self._weights()):
            state[f"{WEIGHT}/{name}"] = parameter.detach().contiguous()
            for kind in moments.get(index, ()):
                state[f"{kind}/{name}"] = moments[index][kind].contiguous()
        return state

    @torch.no_grad()
    def _set_state(self, state: dict[str, torch.Tensor]) -> None:
        moments = {}
        for index, (name, parameter) in enumerate(self._weights()):
            parameter.copy_(state[f"{WEIGHT}/{name}"])
            if f"{MOMENTS[0]}/{name}" in state:  # copies: what was read may be a map of the file
                moments[index] = {kind: state[f"{kind}/{name}"].clone() for kind in MOMENTS}
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})


def describe(settings, seed, tokenizer, prompts, reference, actor, accelerator) -> dict:
    """What a run must share with a checkpoint to go on from it, by the names that a refusal uses.

    The policy is told by its shape: its weights have moved since the run began.
    """
    ids = encode_prompts(tokenizer, prompts)
    asked = _fingerprint([json.dumps(ids).encode()])
    shapes = [(name, *value.shape, str(value.dtype)) for name, value in actor.named_parameters()]
    shape = _fingerprint([repr(shapes).encode()])
    frozen = (value.detach().cpu().contiguous() for value in reference.parameters())
    weights = (value.flatten().view(torch.uint8).numpy() for value in frozen)
    return {
        **asdict(settings),
        "seed": seed,
        "number of processes": accelerator.num_processes,
        "the list of prompts": f"{len(ids)} prompts ({asked})",
        "the policy's shape": f"{count_weights(actor)} weights ({shape})",
        "the reference": f"{count_weights(reference)} weights ({_fingerprint(weights)})",
    }


def _step_of(path: Path) -> int:
    return int(path.name[len(NAME) :])


def _fingerprint(parts: Iterable) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:10]


def _sums(folder: Path) -> str:
    """The hashes of a checkpoint's files, as `sha256sum --check` reads them."""
    lines = []
    for name in (STATE, RUN):
        with open(folder / name, "rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)
