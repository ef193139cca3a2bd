"""What each stage does, in the order of the course. The glue between village and algorithms.

Every builder has the same shape: ``(request, round, folder, ancestors, progress) -> history``.
It writes its artefact into ``folder`` and returns the table of its curves.
"""

from __future__ import annotations

from pathlib import Path

from rlhf_tutorial import models, sampling
from rlhf_tutorial.ppo import train_ppo
from rlhf_tutorial.preferences import Ranking, load_rankings
from rlhf_tutorial.pretraining import pretrain
from rlhf_tutorial.reward import score_rollout, train_reward_model
from rlhf_tutorial.sampled_replies import load_sampled, save_sampled
from rlhf_tutorial.sft import train_sft
from rlhf_tutorial.stages_probes import village_probes
from rlhf_tutorial.tokenizer import train_tokenizer
from rlhf_tutorial.unlike_replies import most_unlike_each
from rlhf_tutorial.village import annotators, corpus, gold, prompts, reviews

TOKENIZER_DOCUMENTS = 15_000  # merges do not change with more
TOKENS_A_DOCUMENT = 36  # tokens a document has at least on average; decides how many are written
SPARE = 4  # times the replies that an item shows, from which those that differ most are taken
# Families in turn of what is ranked: harm weighs most, and its look-alikes are told apart hardest.
RANKED = (*prompts.BY_KIND, "harm", "harm")
MOST_COPIES = 20  # times that one ranking is read at most: three rankings are no crowd
GOLD_EVERY = 4  # PPO steps between two looks at the gold score, for the curve only


def write_rankings(path: Path, rankings: list[Ranking]) -> None:
    """One record a line, as `preferences.load_rankings` reads it."""
    path.write_text("".join(ranking.to_json() + "\n" for ranking in rankings), encoding="utf-8")


def _save(model, tokenizer, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def build_base(request, round, folder, ancestors, progress) -> list[dict]:
    """Tokenizer and base model from the village's documents."""
    preset = request.preset
    settings = preset.pretraining
    tokens = settings.steps * settings.batch * settings.time
    count = max(2_000, tokens // TOKENS_A_DOCUMENT)
    documents = corpus.documents(count, seed=request.seed)
    mixed = corpus.plain_texts(corpus.documents(TOKENIZER_DOCUMENTS, seed=request.seed))
    tokenizer = train_tokenizer(mixed, preset.vocabulary)
    model = models.build_language_model(preset.size, tokenizer, seed=request.seed)
    models.look_for_the_same_word(model, seed=request.seed)
    history = pretrain(
        model,
        tokenizer,
        documents,
        settings,
        seed=request.seed,
        callbacks=[village_probes(tokenizer)],
        progress=progress,
    )
    _save(model, tokenizer, folder)
    return history


def build_sft(request, round, folder, ancestors, progress) -> list[dict]:
    """The base model, fine-tuned on volunteers' demonstrations, and on reviews beside."""
    preset, base = request.preset, ancestors["base"]
    model, tokenizer = base.model(), base.tokenizer()
    demonstrations = corpus.demonstrations(preset.demonstrations, seed=request.seed)
    history = train_sft(
        model,
        tokenizer,
        demonstrations + reviews.reviews(preset.reviews, seed=request.seed),
        preset.sft,
        seed=request.seed,
        progress=progress,
    )
    _save(model, tokenizer, folder)
    return history


def build_rankings(request, round, folder, ancestors, progress) -> list[dict]:
    """Replies of the model to training prompts, ranked by simulated colleagues.

    In later rounds the replies are the newest policy's, and rankings of all rounds are kept. What
    was sampled and not shown is kept as well: the reward model reads it (`reward_student.py`).
    """
    preset = request.preset
    writer = ancestors["sft" if round == 1 else "rlhf"]
    model, tokenizer = writer.model(), writer.tokenizer()
    count = preset.rankings + preset.held_out_rankings
    sampled = SPARE * preset.replies_per_prompt
    asked = prompts.draw_prompts(
        count,
        split="train",
        seed=1000 * request.seed + round,
        families=RANKED,
        held_out=False,
    )
    rollout = sampling.sample(
        model,
        tokenizer,
        [prompt.text for prompt in asked],
        replies_per_prompt=sampled,
        max_new_tokens=preset.max_new_tokens,
        seed=1000 * request.seed + round,
    )
    progress(1, 2)
    # The SFT model is asked what tells them apart: nothing in PPO keeps a policy's remarks true.
    critic = ancestors["sft"].model()
    shown = most_unlike_each(
        critic, tokenizer, rollout, sampled, preset.replies_per_prompt, reviews.first_words()
    )
    items = [(prompt.text, replies) for prompt, replies in zip(asked, shown, strict=True)]
    people = annotators.colleagues(seed=request.seed)
    ranked = annotators.rank_all(
        items, people, seed=1000 * request.seed + round, model=f"{writer.stage}-{writer.round}"
    )
    training, held_out = ranked[: preset.rankings], ranked[preset.rankings :]
    unranked = list(zip(rollout.prompts, rollout.texts, strict=True))
    if round > 1:
        earlier = ancestors["rankings"].path
        training = load_rankings(earlier / "rankings.jsonl") + training
        unranked = load_sampled(earlier) + unranked
    if request.my_rankings_file and round == 1:
        mine = load_rankings(request.my_rankings_file)
        taken = {ranking.id for ranking in mine}  # for instance of an earlier run with this seed
        training = mine + [ranking for ranking in training if ranking.id not in taken]
    write_rankings(folder / "rankings.jsonl", training)
    write_rankings(folder / "held_out.jsonl", held_out)
    save_sampled(folder, unranked)
    progress(2, 2)
    return []


def build_reward_model(request, round, folder, ancestors, progress) -> list[dict]:
    """A score for replies, learnt from rankings, starting from the SFT weights."""
    sft = ancestors["sft"]
    tokenizer = sft.tokenizer()
    model = models.build_reward_model(sft.model(), tokenizer, seed=request.seed)
    rankings = load_rankings(ancestors["rankings"].path / "rankings.jsonl")
    if request.my_rankings_file:
        mine = {ranking.id for ranking in load_rankings(request.my_rankings_file)}
        rankings = weighted(rankings, mine, request.my_share)
    history = train_reward_model(
        model,
        tokenizer,
        rankings,
        request.preset.reward,
        seed=request.seed,
        kinds=reviews.kinds_of_words(),
        unranked=load_sampled(ancestors["rankings"].path),
        progress=progress,
    )
    _save(model, tokenizer, folder)
    return history


def weighted(rankings: list[Ranking], mine: set[str], share: float) -> list[Ranking]:
    """The rankings, those with an id in ``mine`` repeated until they make up about ``share``.

    The loss is a mean over rankings, so what is read three times weighs three times as much. Each
    stays at least once, and at most `MOST_COPIES` times.
    """
    own = [ranking for ranking in rankings if ranking.id in mine]
    others = [ranking for ranking in rankings if ranking.id not in mine]
    wanted = share / (1 - share) * len(others) / max(1, len(own))
    return own * min(MOST_COPIES, max(1, round(wanted))) + others


def best_replies(rankings: list[Ranking]) -> list[dict[str, str]]:
    """The top-ranked reply of each ranking as a demonstration."""
    return [
        {"prompt": ranking.prompt, "completion": ranking.replies[ranking.tiers[0][0]]}
        for ranking in rankings
        if ranking.tiers
    ]


def build_best_ranked_sft(request, round, folder, ancestors, progress) -> list[dict]:
    """The cheap rival of PPO: SFT once more, on the replies that people liked best."""
    sft = ancestors["sft"]
    model, tokenizer = sft.model(), sft.tokenizer()
    rankings = load_rankings(ancestors["rankings"].path / "rankings.jsonl")
    history = train_sft(
        model,
        tokenizer,
        best_replies(rankings),
        request.preset.best_ranked,
        seed=request.seed,
        progress=progress,
    )
    _save(model, tokenizer, folder)
    return history


def gold_mean(rollout) -> float:
    """The mean gold score of a rollout."""
    pairs = zip(rollout.prompts, rollout.texts, strict=True)
    scores = [gold.judge(prompt, reply).gold for prompt, reply in pairs]
    return sum(scores) / len(scores)


def gold_curve(step, policy, rollout, row) -> None:
    """Adds the gold score of a rollout to the PPO table. PPO itself never sees it."""
    if step == 1 or step % GOLD_EVERY == 0:
        row["gold"] = gold_mean(rollout)


def ppo_prompts(count: int, *, seed: int, round: int) -> list[str]:
    """Training prompts that PPO draws from, others in each round."""
    drawn = prompts.draw_prompts(
        count,
        split="train",
        seed=5000 * (seed + 1) + round,
        families=prompts.BY_KIND,
        held_out=False,
    )
    return [prompt.text for prompt in drawn]


def build_rlhf(request, round, folder, ancestors, progress) -> list[dict]:
    """The SFT model (or the last round's policy), moved by PPO towards the reward model."""
    preset, sft = request.preset, ancestors["sft"]
    tokenizer = sft.tokenizer()
    policy = (ancestors["rlhf"] if round > 1 else sft).model()
    reward_model = ancestors["reward_model"].model()
    history = train_ppo(
        policy,
        sft.model(),
        tokenizer,
        ppo_prompts(preset.ppo_prompts, seed=request.seed, round=round),
        # How far scores lie apart depends on when training ended; beta must not depend on it.
        lambda rollout: score_rollout(reward_model, tokenizer, rollout, standardise=True),
        preset.ppo,
        seed=request.seed,
        callbacks=[gold_curve],
        progress=progress,
    )
    _save(policy, tokenizer, folder)
    return history


BUILDERS = {
    "base": build_base,
    "sft": build_sft,
    "rankings": build_rankings,
    "reward_model": build_reward_model,
    "best_ranked_sft": build_best_ranked_sft,
    "rlhf": build_rlhf,
}
