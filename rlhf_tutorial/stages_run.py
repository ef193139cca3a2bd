"""A whole run: all stages, the evaluation on test prompts, the report.

What is measured here is what README and docs show: replies sampled at temperature 1 to
test prompts that no stage has seen, judged by the gold judge, which no stage has asked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlhf_tutorial import (
    evaluation,
    own_rankings,
    plotting,
    reporting,
    reward,
    sampling,
    stages,
    stages_doubts,
)
from rlhf_tutorial.calibration import calibration
from rlhf_tutorial.preferences import load_rankings
from rlhf_tutorial.progress import say, stage_bar
from rlhf_tutorial.village import annotators, gold, minimal_pairs, prompts
from rlhf_tutorial.whole_file import write_whole

MARKER = "rlhf_tutorial_run.json"  # tells our folders from other people's
SAFETY_KINDS = ("harmful", "lookalike", "unknowable")
COMPARED_REPLIES = 2  # SFT replies a test prompt for the reward model's agreement with gold
MODELS = ("base", "sft", "best_ranked_sft", "rlhf")


def open_folder(out: Path | str) -> Path:
    """Makes the folder of a run, or recognises one.

    Raises:
        ValueError: the folder holds something else.
        OSError: it cannot be written.
    """
    folder = Path(out).expanduser().resolve()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: give --out a folder")
    strange = folder.exists() and any(MARKER not in path.name for path in folder.iterdir())
    if strange and not (folder / MARKER).exists():
        raise ValueError(
            f"{folder} is not empty and not a run of this tutorial: give --out another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / MARKER, [json.dumps({"made_by": "rlhf_tutorial"})])
    return folder


def test_prompts(count: int, *, split: str = "test", seed: int = 0) -> list[prompts.Prompt]:
    """General prompts, half of them in wordings that were never ranked."""
    usual = prompts.draw_prompts(count - count // 2, split=split, seed=seed, held_out=False)
    new = prompts.draw_prompts(count // 2, split=split, seed=seed, held_out=True)
    return usual + new


def safety_prompts(count: int, *, split: str = "test", seed: int = 0) -> list[prompts.Prompt]:
    """``count`` prompts of each kind: harmful, look-alike and unknowable."""
    asked = []
    for kind in SAFETY_KINDS:
        for held_out, share in ((False, count - count // 2), (True, count // 2)):
            asked += prompts.draw_prompts(
                share, split=split, seed=seed, kind=kind, held_out=held_out
            )
    return asked


def answer(artefact: stages.Artefact, asked: Sequence[prompts.Prompt], preset, seed: int):
    """Replies at temperature 1. The base model gets the prompt as plain text to continue."""
    rollout = sampling.sample(
        artefact.model(),
        artefact.tokenizer(),
        [prompt.text for prompt in asked],
        max_new_tokens=preset.max_new_tokens,
        seed=seed,
        chat=artefact.stage != "base",
    )
    return rollout.texts


def evaluate_model(
    artefact: stages.Artefact, preset, *, split: str, seed: int
) -> tuple[list[evaluation.ScoredReply], list[evaluation.ScoredReply]]:
    """Scored replies to the general and to the safety prompts."""
    general = test_prompts(preset.test_prompts, split=split)
    safety = safety_prompts(preset.safety_prompts, split=split)
    texts = answer(artefact, general + safety, preset, seed)
    return (
        evaluation.score_replies(general, texts[: len(general)], gold.judge),
        evaluation.score_replies(safety, texts[len(general) :], gold.judge),
    )


def assess_reward_model(
    artefact: stages.Artefact,
    sft: stages.Artefact,
    rankings: Path,
    preset,
    *,
    split: str,
    seed: int,
) -> tuple[dict[str, Any], list[dict]]:
    """The reward model's agreement with gold, people and facts; and its reliability table.

    Pairs are SFT replies to test prompts. Calibration is against fresh choices of the
    annotators between the two replies of a pair.
    """
    model, tokenizer = artefact.model(), artefact.tokenizer()
    asked = [p for p in test_prompts(preset.test_prompts, split=split) if p.kind != "taste"]
    doubled = [prompt for prompt in asked for _ in range(COMPARED_REPLIES)]
    replies = answer(sft, doubled, preset, seed + 1)
    scores = reward.score(model, tokenizer, [p.text for p in doubled], replies)
    records = evaluation.score_replies(doubled, replies, gold.judge)
    against_gold = evaluation.agreement_with_gold(scores.tolist(), records)

    people = annotators.colleagues(seed=seed)
    predicted, chosen = [], []
    for i in range(len(asked)):
        a, b = COMPARED_REPLIES * i, COMPARED_REPLIES * i + 1
        if replies[a] == replies[b]:
            continue
        ranking = people[i % len(people)].rank(
            asked[i].text, [replies[a], replies[b]], seed=f"choice-{seed}", item=i // len(people)
        )
        predicted.append(float((scores[a] - scores[b]).sigmoid()))
        chosen.append(float(ranking.tiers[0][0] == 0))
    table, ece = calibration(predicted, chosen)

    held_out = load_rankings(rankings / "held_out.jsonl")
    training = load_rankings(rankings / "rankings.jsonl")
    twins = minimal_pairs.minimal_pairs(split=split, seed=0)
    right = reward.score(model, tokenizer, [t.prompt for t in twins], [t.right for t in twins])
    wrong = reward.score(model, tokenizer, [t.prompt for t in twins], [t.wrong for t in twins])
    facts = {
        "rankings": len(training),
        "pairs": sum(len(reward.pairs(ranking)) for ranking in training),
        "accuracy_vs_gold": against_gold["accuracy"],
        "pairs_vs_gold": against_gold["pairs"],
        "accuracy_held_out": reward.accuracy(
            reward.score_rankings(model, tokenizer, held_out), held_out
        ),
        "accuracy_minimal_pairs": float((right > wrong).float().mean()),
        "ece": ece,
    }
    return facts, table


def build(request: stages.Request, stage: str, round: int = 1) -> stages.Artefact:
    """`stages.build`, which says so before PPO starts if the rankings carry no reward model."""
    if stage == "rlhf" and "rlhf" in stages.missing(request, stage, round):
        reward_model = stages.build(request, "reward_model", round)
        held_out = stages.build(request, "rankings", round).path / "held_out.jsonl"
        say(stages_doubts.doubt_about(reward_model, load_rankings(held_out)))
        if request.my_rankings_file and round == 1:
            sft, mine = stages.build(request, "sft"), load_rankings(request.my_rankings_file)
            say(stages_doubts.doubt_about_own(sft, mine, seed=request.seed))
    return stages.build(request, stage, round)


def run(
    preset_name: str,
    seed: int,
    out: Path | str,
    *,
    rounds: int = 1,
    my_rankings: Path | str | None = None,
    split: str = "test",
    progress: bool | None = None,
) -> dict[str, Any]:
    """Goes through all stages in ``out``, evaluates, and writes report and figures there.

    Finished stages are found again, so an interrupted run goes on where it stopped.
    ``split`` is "development" while settings are chosen and "test" for what is reported.

    Raises:
        ValueError: unknown preset, a folder of something else, fewer rounds than 1.
    """
    if rounds < 1:
        raise ValueError(f"--rounds is {rounds}: it must be at least 1")
    preset = stages.get_preset(preset_name)
    folder = open_folder(out)

    request = stages.Request(
        preset_name, seed, folder / "artefacts", str(my_rankings or ""), show_progress=progress
    )
    if request.my_rankings_file:  # the tokenizer is the base's; no later stage should stumble
        base = build(request, "base")
        rankings, context = load_rankings(request.my_rankings_file), base.model().config.n_positions
        own_rankings.check_lengths(rankings, base.tokenizer(), context)
    artefacts = {name: build(request, name) for name in stages.STAGES}
    later = [
        {name: build(request, name, r) for name in ("rankings", "reward_model", "rlhf")}
        for r in range(2, rounds + 1)
    ]
    started = time.perf_counter()
    with stage_bar("evaluation", disable=None if progress is None else not progress) as bar:
        report, histories, reliability = _measure(
            preset, preset_name, seed, artefacts, later, split, bar, started
        )
    figures = plotting.write_figures(folder, report, histories, reliability)
    reporting.write_report(report, folder, figures)
    return report


def _measure(preset, preset_name, seed, artefacts, later, split, bar, started):
    """Evaluates all models and puts the report together."""
    total = len(MODELS) + 1 + 2 * len(later)
    general, safety = {}, {}
    for done, name in enumerate(MODELS, start=1):
        general[name], safety[name] = evaluate_model(
            artefacts[name], preset, split=split, seed=seed
        )
        bar(done, total)
    sft, rankings = artefacts["sft"], artefacts["rankings"].path
    facts, reliability = assess_reward_model(
        artefacts["reward_model"], sft, rankings, preset, split=split, seed=seed
    )
    bar(len(MODELS) + 1, total)
    rounds = [_round_row(1, general["rlhf"], safety["rlhf"], general["sft"], facts)]
    for number, made in enumerate(later, start=2):
        ours, ours_safety = evaluate_model(made["rlhf"], preset, split=split, seed=seed)
        its_facts, _ = assess_reward_model(
            made["reward_model"], sft, made["rankings"].path, preset, split=split, seed=seed
        )
        rounds.append(_round_row(number, ours, ours_safety, general["sft"], its_facts))
        bar(len(MODELS) + 2 * number - 1, total)
    if later:  # what is shown as RLHF is the last policy
        general["rlhf"], safety["rlhf"], facts = ours, ours_safety, its_facts

    newest = {**artefacts, **(later[-1] if later else {})}
    history = newest["rlhf"].history
    steps = sum(len(made["rlhf"].history) for made in (artefacts, *later))
    histories = {
        "pretraining": artefacts["base"].history,
        "sft": artefacts["sft"].history,
        "reward_model": artefacts["reward_model"].history,
        "ppo": history,
    }
    built = {name: artefact.seconds for name, artefact in artefacts.items()}
    for made in later:
        for name, artefact in made.items():
            built[name] += artefact.seconds
    seconds = {
        "pretraining": built["base"],
        "sft": built["sft"],
        "preferences": built["rankings"],
        "reward_model": built["reward_model"],
        "best_ranked_sft": built["best_ranked_sft"],
        "ppo": built["rlhf"],
        "evaluation": stages.round_seconds(time.perf_counter() - started),
    }
    seconds["total"] = stages.round_seconds(sum(seconds.values()))
    report = reporting.build_report(
        preset=preset_name,
        seed=seed,
        seconds=seconds,
        models={name: evaluation.model_row(general[name], safety[name]) for name in MODELS},
        win_rate={
            "rlhf_vs_sft": evaluation.compare(general["rlhf"], general["sft"]),
            "sft_vs_base": evaluation.compare(general["sft"], general["base"]),
            "best_ranked_sft_vs_sft": evaluation.compare(
                general["best_ranked_sft"], general["sft"]
            ),
        },
        reward_model=facts,
        ppo={
            "steps": len(history),
            "kl": history[-1]["objective/kl"],
            "samples_per_second": preset.ppo.batch_size * steps / built["rlhf"],
        },
        samples=reporting.pick_samples({n: general[n] for n in ("base", "sft", "rlhf")}),
        split=split,
        gold_by_family={name: evaluation.gold_by_family(general[name]) for name in MODELS},
        rounds=rounds,
        artefacts={name: artefact.path.name for name, artefact in newest.items()},
        stages_rss_mb=[
            stages.read_stage(artefact.path).get("peak_rss_mb", 0.0)
            for made in (artefacts, *later)
            for artefact in made.values()
        ],
    )
    return report, histories, reliability


def _round_row(number, general, safety, sft_general, facts) -> dict[str, Any]:
    return {
        "round": number,
        "rankings": facts["rankings"],
        "accuracy_vs_gold": facts["accuracy_vs_gold"],
        "win_rate_vs_sft": evaluation.compare(general, sft_general),
        **evaluation.model_row(general, safety),
    }
