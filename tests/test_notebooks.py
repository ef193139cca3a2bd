"""The notebooks as files, and the proof that "What you should have seen" can fail.

That they run is shown by `pytest --nbval-lax notebooks`, the second half of `make test`. Here a
stage is sabotaged on disk, under the name that the notebook looks for, and the notebook's last
cell must notice.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest

from rlhf_tutorial import course, models
from rlhf_tutorial.ppo import PPOSettings, train_ppo
from rlhf_tutorial.preferences import load_rankings
from rlhf_tutorial.reward import score_rollout
from rlhf_tutorial.stages_build import ppo_prompts
from rlhf_tutorial.tokenizer import load_tokenizer

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
LARGEST_BYTES = 1_500_000
NAMES = [path.stem for path in FILES]


def cells(path: Path, kind: str) -> list[str]:
    notebook = nbformat.read(path, as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def test_there_is_a_course():
    assert [name[:2] for name in NAMES] == ["00", "01", "02", "03", "04", "05", "06"]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_notebook_is_small_executed_and_ends_with_what_should_have_been_seen(path):
    assert path.stat().st_size <= LARGEST_BYTES
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code), "not executed: run `make notebooks`"
    assert "what_you_should_have_seen(" in code[-1].source
    outputs = [output for cell in code for output in cell.outputs]
    assert "error" not in [output.output_type for output in outputs]
    text = json.dumps(outputs)
    for litter in ("Traceback (most recent", "UserWarning", "FutureWarning", "Loading weights"):
        assert litter not in text


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_notebook_has_exercises_a_map_and_papers(path):
    code = "\n".join(cells(path, "code"))
    prose = "\n".join(cells(path, "markdown"))
    assert "course.where_we_are(" in code or "plotting_loop.loop(" in code
    number = path.name[:2]
    asked = set(re.findall(rf"\bnb{number}\.(\w+)\(", code))
    assert len(asked) >= 3, asked
    assert re.search(r"\d{4}\.\d{4,5}", prose), "name papers by their arXiv id"
    plain = re.sub(r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|!\[", "", prose, flags=re.DOTALL)
    assert "!" not in plain, "no exclamation marks"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_cells_are_short_and_are_python(path):
    code = cells(path, "code")
    for source in code:
        ast.parse(source)
    for source in code[:-1]:  # the last one holds the claims, a line for each bound
        assert len(source.splitlines()) <= 32, source


def sabotaged(home: Path, stage: str, spoil) -> dict[str, str]:
    """A copy of the course's run in `home` in which every artefact of `stage` is spoilt.

    `spoil(folder, run)` changes the copied artefact in `folder`; `run` holds all the others.
    Returns the environment in which a notebook finds it.
    """
    source = course.run_folder()
    course.artefact("rlhf")
    target = home / source.name
    (target / "artefacts").mkdir(parents=True)
    for path in source.iterdir():
        if path.is_file():
            shutil.copy(path, target)
    found = [path for path in (source / "artefacts").iterdir() if (path / "stage.json").exists()]
    for path in found:
        if path.name.startswith(f"{stage}-"):
            shutil.copytree(path, target / "artefacts" / path.name)
        else:
            (target / "artefacts" / path.name).symlink_to(path)
    for path in (target / "artefacts").glob(f"{stage}-*"):
        spoil(path, target)
    return {"RLHF_TUTORIAL_HOME": str(home), "RLHF_TUTORIAL_HEADLESS": "1"}


def artefact_of(run: Path, stage: str) -> Path:
    """The folder of an artefact of a stage."""
    return next(p for p in (run / "artefacts").iterdir() if p.name.startswith(f"{stage}-"))


def an_untrained_model(folder: Path, run: Path) -> None:
    """What pretraining with a learning rate of 0 would give."""
    untrained = models.build_language_model("1m", load_tokenizer(folder), seed=0)
    untrained.save_pretrained(folder)


def the_base_model_instead(folder: Path, run: Path) -> None:
    """What SFT with a learning rate of 0 would give."""
    shutil.copy(artefact_of(run, "base") / "model.safetensors", folder / "model.safetensors")


def the_sft_model_instead(folder: Path, run: Path) -> None:
    """What PPO with a learning rate of 0 would give."""
    shutil.copy(artefact_of(run, "sft") / "model.safetensors", folder / "model.safetensors")


def far_without_a_penalty(folder: Path, run: Path) -> None:
    """What PPO makes of SFT with KL coefficient 0, a high rate and many steps."""
    ready = run.parent / "far"  # one training serves all artefacts of the stage
    if not ready.exists():
        sft = artefact_of(run, "sft")
        tokenizer = load_tokenizer(sft)
        policy, reference = (models.load_language_model(sft, tokenizer) for _ in range(2))
        reward_model = models.load_reward_model(artefact_of(run, "reward_model"), tokenizer)
        train_ppo(
            policy,
            reference,
            tokenizer,
            ppo_prompts(1000, seed=0, round=1),
            lambda rollout: score_rollout(reward_model, tokenizer, rollout, standardise=True),
            PPOSettings(
                steps=60,
                batch_size=64,
                max_new_tokens=56,
                kl_coefficient=0.0,
                learning_rate=1e-3,
                entropy_floor=0.0,  # a collapse is what is wanted here
            ),
            seed=0,
        )
        policy.save_pretrained(ready)
    shutil.copy(ready / "model.safetensors", folder / "model.safetensors")


def shuffled_labels(folder: Path, run: Path) -> None:
    """Every second ranking upside down: nobody's taste is left in them."""
    for file in (folder / "rankings.jsonl", folder / "held_out.jsonl"):
        lines = []
        for index, ranking in enumerate(load_rankings(file)):
            record = json.loads(ranking.to_json())
            record["tiers"] = record["tiers"][::-1] if index % 2 else record["tiers"]
            lines.append(json.dumps(record))
        file.write_text("\n".join(lines) + "\n")


def last_cell_fails(number: str, monkeypatch, environment: dict[str, str]) -> str:
    """Run a notebook; its last code cell must be the one that fails. Returns what it says."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    path = next(path for path in FILES if path.name.startswith(number))
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=1200, kernel_name="python3", resources=resources)
    with pytest.raises(CellExecutionError, match="What you should have seen is not there") as error:
        client.execute()
    return str(error.value)


@pytest.mark.parametrize(
    ("number", "stage", "spoil"),
    [
        pytest.param("00", "rlhf", the_sft_model_instead, marks=pytest.mark.medium),
        pytest.param("01", "base", an_untrained_model, marks=pytest.mark.slow),
        pytest.param("02", "sft", the_base_model_instead, marks=pytest.mark.slow),
        pytest.param("03", "rankings", shuffled_labels, marks=pytest.mark.slow),
        pytest.param("04", "rankings", shuffled_labels, marks=pytest.mark.slow),
        pytest.param("05", "rlhf", the_sft_model_instead, marks=pytest.mark.slow),
        pytest.param("06", "rlhf", the_sft_model_instead, marks=pytest.mark.slow),
        pytest.param("06", "rlhf", far_without_a_penalty, marks=pytest.mark.slow),
    ],
)
def test_a_spoilt_stage_is_noticed(number, stage, spoil, tmp_path, monkeypatch):
    monkeypatch.setenv("RLHF_TUTORIAL_HEADLESS", "1")
    environment = sabotaged(tmp_path, stage, spoil)
    last_cell_fails(number, monkeypatch, environment)
