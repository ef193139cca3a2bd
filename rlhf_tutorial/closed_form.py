"""Problems so small that the right answer is known: every reply is counted, not sampled.

With at most 6 tokens and 3 tokens a reply there are at most 156 replies to a prompt. So the exact
distribution of any language model over them can be written down, and the best one too: of all
policies, the one that maximises E[r] - beta * KL(policy, reference) is

    best(y | x) = reference(y | x) * exp(r(x, y) / beta) / Z(x)

(Rafailov et al. 2023, arXiv 2305.18290, equation 4 and appendix A.1). A trainer is right if what it
ends with is close to the optimum that it declares.

    problem = random_problem(seed=0)
    outcome = compare(problem, ppo_trainer(settings), tilted(problem, settings.kl_coefficient))
    outcome.after  # total variation, the worst prompt; 0 is exactly right

Any other trainer goes in the place of `ppo_trainer`: a callable (problem, seed) that returns a
language model, or a distribution `(prompts, replies)` where no model is trained. RLOO, and DPO on
all pairs, declare `tilted`; without KL it is `arg_max`; best-of-n declares `best_of_n`.

The vocabulary is that of the course with next to no words: padding, end, the two role tokens, and
one or two words. The model may say any of them, and so the problem has them all.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from rlhf_tutorial.ppo import PPOSettings, train_ppo
from rlhf_tutorial.tokenizer import SPECIAL_TOKENS, encode_prompt

LARGEST_VOCABULARY = 6
LONGEST_REPLY = 3
REWARD_SPREAD = 0.5  # standard deviation of rewards, in reward units
PROMPTS = ("a", "a a a")  # of unequal length, so that padding takes part

# What PPO needs to come within total variation 0.03: the update of the course, repeated until there
# is nothing left to learn, and nothing in it that would move the optimum.
CONVERGED = PPOSettings(
    steps=300,
    batch_size=256,
    micro_batch_size=256,
    epochs=2,
    minibatches=2,  # the number of weight updates is what limits how close it comes
    learning_rate=3e-3,  # of a model this small; it falls to 0, and the noise with it
    gamma=1.0,
    value_clip=1e9,  # values move as fast as they can: near the optimum their error is the noise
    value_coefficient=1.0,
    max_gradient_norm=10.0,
    missing_eos_penalty=0.0,  # would be a reward that the problem does not know of
    whiten_rewards=False,  # would change beta
    whiten_advantages=False,  # they vanish at the optimum, and only noise would be left to scale
    entropy_floor=0.0,  # without KL the optimum has no entropy
)


@dataclass(frozen=True)
class Problem:
    """Prompts, every reply there can be, what each is worth, and where training starts."""

    tokenizer: object
    reference: torch.nn.Module  # GPT2LMHeadModel; trainers copy it and never change it
    prompts: tuple[str, ...]
    replies: torch.Tensor  # (replies, length) ids, padded on the right
    mask: torch.Tensor  # (replies, length) Boolean, true on tokens, the end token included
    rewards: torch.Tensor  # (prompts, replies), in reward units

    @property
    def length(self) -> int:
        """Tokens of the longest reply."""
        return self.replies.shape[1]

    def reward(self, rollout) -> torch.Tensor:
        """Look up the reward of sampled replies `(batch,)`: what trainers are given."""
        prompts = torch.tensor([self.prompts.index(prompt) for prompt in rollout.prompts])
        return self.rewards[prompts, self.index_of(rollout)]

    def index_of(self, rollout) -> torch.Tensor:
        """Place `(batch,)` of each sampled reply in `replies`."""
        numbers = {tuple(row): index for index, row in enumerate(self.written())}
        rows = zip(rollout.reply_ids.tolist(), rollout.reply_mask.sum(1).tolist(), strict=True)
        return torch.tensor([numbers[tuple(ids[:count])] for ids, count in rows])

    def written(self) -> list[list[int]]:
        """Every reply as a list of ids, without padding."""
        lengths = self.mask.sum(1).tolist()
        return [ids[:n] for ids, n in zip(self.replies.tolist(), lengths, strict=True)]

    def logprobs(self, model) -> torch.Tensor:
        """Log-probability `(prompts, replies)` of every reply under a model; gradients flow."""
        rows = []
        for prompt in self.prompts:
            start = torch.tensor(encode_prompt(self.tokenizer, prompt))
            ids = torch.cat([start.expand(len(self.replies), -1), self.replies], dim=1)
            output = model(input_ids=ids, attention_mask=torch.ones_like(ids))
            logits = output.logits[:, len(start) - 1 : -1]
            chosen = logits.log_softmax(-1).gather(2, self.replies.unsqueeze(2)).squeeze(2)
            rows.append((chosen * self.mask).sum(1))
        return torch.stack(rows)

    @torch.no_grad()
    def distribution(self, model) -> torch.Tensor:
        """Probability `(prompts, replies)` of every reply under a model; each row sums to 1."""
        return self.logprobs(getattr(model, "policy", model)).double().exp()


Trainer = Callable[[Problem, int], object]


@dataclass(frozen=True)
class Outcome:
    """Total variation from the optimum `(prompts,)`, before training and after it."""

    start: torch.Tensor
    end: torch.Tensor
    reached: torch.Tensor  # (prompts, replies) what training ended with

    @property
    def before(self) -> float:
        """Of the reference, the worst prompt."""
        return float(self.start.max())

    @property
    def after(self) -> float:
        """Of what was trained, the worst prompt."""
        return float(self.end.max())


def every_reply(vocabulary: int, length: int, end: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids `(replies, length)` of all replies there can be, and their mask.

    A reply ends with the end token, or is cut off at `length` tokens.
    """
    others = [token for token in range(vocabulary) if token != end]
    rows = []
    for count in range(1, length + 1):
        last = [end] if count < length else range(vocabulary)
        for start in itertools.product(others, repeat=count - 1):
            rows += [[*start, token] for token in last]
    ids = torch.tensor([row + [end] * (length - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return ids, torch.arange(length) < lengths.unsqueeze(1)


def small_tokenizer(vocabulary: int):
    """A tokenizer of whole words with `vocabulary` tokens: the special ones, then "a", "b"."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    if not len(SPECIAL_TOKENS) < vocabulary <= LARGEST_VOCABULARY:
        raise ValueError(
            f"vocabulary is {vocabulary}: it must be {len(SPECIAL_TOKENS) + 1} to "
            f"{LARGEST_VOCABULARY}, the {len(SPECIAL_TOKENS)} special tokens and a word or two"
        )
    words = [*SPECIAL_TOKENS, "a", "b"][:vocabulary]
    numbers = {word: index for index, word in enumerate(words)}
    backend = Tokenizer(models.WordLevel(numbers, unk_token="a"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    pad, end, *roles = SPECIAL_TOKENS
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=end,
        eos_token=end,
        pad_token=pad,
        padding_side="left",
        extra_special_tokens=roles,
    )


def random_problem(
    seed: int,
    *,
    vocabulary: int = LARGEST_VOCABULARY,
    length: int = LONGEST_REPLY,
    by_place: bool = False,
) -> Problem:
    """A reference policy with random weights, and a normal random reward for every reply.

    With `by_place` a reply is worth the sum of what its tokens are worth at their places. Else
    nothing is learnt of a reply from those like it. Without KL a policy gradient then settles on
    the first good reply it finds, exact gradients or not.

    Raises:
        ValueError: too many tokens or too long replies to be counted, or none at all.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    if not 1 <= length <= LONGEST_REPLY:
        raise ValueError(f"length is {length}: replies of 1 to {LONGEST_REPLY} tokens are counted")
    tokenizer = small_tokenizer(vocabulary)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=16,
        n_embd=32,
        n_layer=1,
        n_head=2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=0.1,  # five times the usual: the reference is far from uniform
        activation_function="gelu_pytorch_tanh",
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reference = GPT2LMHeadModel(config).eval()
    replies, mask = every_reply(vocabulary, length, tokenizer.eos_token_id)
    generator = torch.Generator().manual_seed(seed)
    rewards = REWARD_SPREAD * torch.randn(len(PROMPTS), len(replies), generator=generator)
    if by_place:
        worth = REWARD_SPREAD * torch.randn(len(PROMPTS), length, vocabulary, generator=generator)
        a_token = worth[:, torch.arange(length), replies]  # (prompts, replies, length)
        rewards = (a_token * mask).sum(-1)
    return Problem(tokenizer, reference, PROMPTS, replies, mask, rewards)


def tilted(problem: Problem, beta: float) -> torch.Tensor:
    """The KL-regularised optimum `(prompts, replies)`: reference times exp(reward / beta)."""
    reference = problem.distribution(problem.reference)
    return (reference.log() + problem.rewards.double() / beta).softmax(-1)


def arg_max(problem: Problem) -> torch.Tensor:
    """The optimum without KL `(prompts, replies)`: all on the reply with the highest reward."""
    best = problem.rewards.argmax(-1, keepdim=True)
    return torch.zeros_like(problem.rewards, dtype=torch.float64).scatter(1, best, 1.0)


def best_of_n(problem: Problem, n: int) -> torch.Tensor:
    """Distribution `(prompts, replies)` of the best of n draws from the reference.

    The best reward is at most c with probability F(c)^n, where F(c) is the reference's chance of
    a reward of at most c. Replies of equal reward share theirs as they do in the reference.
    """
    reference = problem.distribution(problem.reference)
    chosen = torch.empty_like(reference)
    for row, rewards in enumerate(problem.rewards):
        for column, reward in enumerate(rewards):
            below = reference[row, rewards < reward].sum()
            equal = reference[row, rewards == reward].sum()
            level = (below + equal) ** n - below**n
            chosen[row, column] = level * reference[row, column] / equal
    return chosen


def total_variation(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Half the sum of absolute differences `(prompts,)`: the largest error of any probability."""
    return (one - other).abs().sum(-1) / 2


def compare(problem: Problem, train: Trainer, optimum: torch.Tensor, seed: int = 0) -> Outcome:
    """Train, count what came out, and measure how far it is from the declared optimum."""
    before = problem.distribution(problem.reference)
    result = train(problem, seed)
    reached = result if isinstance(result, torch.Tensor) else problem.distribution(result)
    return Outcome(total_variation(before, optimum), total_variation(reached, optimum), reached)


def ppo_trainer(settings: PPOSettings) -> Trainer:
    """The package's PPO with these settings, as a trainer.

    Its optimum is `tilted` at settings.kl_coefficient, or `arg_max` where that is 0, if rewards
    are not whitened, gamma is 1, and neither the end token nor the KL target changes the reward.
    """

    def train(problem: Problem, seed: int):
        policy = copy.deepcopy(problem.reference)
        train_ppo(
            policy,
            problem.reference,
            problem.tokenizer,
            problem.prompts,
            problem.reward,
            settings,
            seed=seed,
        )
        return policy

    return train
