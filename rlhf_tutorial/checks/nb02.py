"""Checks of the exercises of notebook 02, on supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rlhf_tutorial.batching import IGNORE
from rlhf_tutorial.checks.core import Wrong, attempted, exercise

CASES = (([7, 11, 12, 8], [21, 22, 23, 1]), ([7, 8], [30, 1]), ([7, 11, 11, 12, 8], [1]))


@exercise(
    "02.1",
    hints=(
        "The model has to write the reply, and to stop. It never has to write the prompt.",
        "Count the tokens behind <|assistant|>, <|end|> included.",
    ),
)
def learnt_tokens(answer: int, tokens: Sequence[str]) -> str:
    """How many tokens of a chat carry a loss; `tokens` are those of the whole chat."""
    if isinstance(answer, bool) or not isinstance(answer, int):
        raise Wrong(f"The answer is a whole number, not {answer!r}.")
    prompt = list(tokens).index("<|assistant|>") + 1
    reply = len(tokens) - prompt
    mistakes = {
        len(tokens): "That is every token of the chat. The prompt is the user's, not the model's.",
        reply - 1: "You left out <|end|>: the model must also learn to stop.",
        reply + 1: "The token <|assistant|> stands there before the model begins: do not count it.",
        prompt: "Those are the tokens of the prompt: they are read and not learnt.",
    }
    if answer == reply:
        return "The reply and the token that ends it."
    raise Wrong(mistakes.get(answer, "Count again in the picture, from <|assistant|> on."))


@exercise(
    "02.2",
    hints=(
        "Put both lists together. Inputs are all but the last token, labels all but the first.",
        "A label whose token belongs to the prompt becomes -100.",
        "len(prompt_ids) - 1 labels are -100: the last prompt token predicts the reply.",
    ),
)
def inputs_and_labels(function: Callable) -> str:
    """`function(prompt_ids, reply_ids) -> (inputs, labels)`, labels shifted and masked."""
    for prompt, reply in CASES:
        answer = attempted(function(list(prompt), list(reply)))
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise Wrong("Return two lists: inputs and labels.")
        inputs, labels = (list(map(int, part)) for part in answer)
        _check_inputs(inputs, labels, [*prompt, *reply])
        _check_labels(labels, prompt, reply)
    return "The same as rlhf_tutorial.sft.encode_demonstrations."


def _check_inputs(inputs: list[int], labels: list[int], whole: list[int]) -> None:
    if len(inputs) != len(labels):
        raise Wrong(f"{len(inputs)} inputs but {len(labels)} labels: each input has one label.")
    if inputs == whole:
        raise Wrong("Behind the last token comes nothing to guess: inputs end one token earlier.")
    if inputs != whole[:-1]:
        raise Wrong("Inputs are prompt and reply in this order, without the last token.")


def _check_labels(labels: list[int], prompt: Sequence[int], reply: Sequence[int]) -> None:
    right = [IGNORE] * (len(prompt) - 1) + list(reply)
    whole = [*prompt, *reply]
    if labels == right:
        return
    if labels == whole[1:]:
        raise Wrong("The prompt is learnt as well: its labels must be -100.")
    if labels == ([IGNORE] * len(prompt) + list(reply))[:-1]:
        raise Wrong("Not shifted: the label at a place is the token that comes next, not the same.")
    if labels == [IGNORE] * len(prompt) + list(reply)[1:]:
        raise Wrong(
            "One label too few: the last token of the prompt must predict the first of the reply."
        )
    if labels[:-1] == right[:-1] and labels[-1] == IGNORE:
        raise Wrong("The end token has no label: the model would never learn to stop.")
    raise Wrong(f"For prompt {list(prompt)} and reply {list(reply)} labels should be {right}.")


@exercise(
    "02.3",
    hints=(
        "Find the row of the table with the greatest gold.",
        "Compare the rates of that row with those of temperature 1: which rose most?",
    ),
)
def best_temperature(answer: tuple[float, str], table: Mapping[float, Mapping[str, float]]) -> str:
    """The temperature of the best gold and the rate that is worse there than at 1, or "none".

    `table` maps temperatures to gold and rates, of which fewer is better.
    """
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise Wrong('Give a pair: a temperature and a name, such as (0.5, "over_refusal").')
    temperature, rate = answer
    if temperature not in table:
        raise Wrong(
            f"The table has no temperature {temperature!r}: choose {', '.join(map(str, table))}."
        )
    best = max(table, key=lambda t: table[t]["gold"])
    if temperature != best:
        raise Wrong(f"Gold at {temperature} is not the greatest of the table.")
    rates = [name for name in table[best] if name != "gold"]
    if rate not in (*rates, "none"):
        raise Wrong(f'There is no rate {rate!r}: choose {", ".join(rates)} or "none".')
    rise = {name: table[best][name] - table[1.0][name] for name in rates}
    worst = max(rise, key=rise.__getitem__)
    right = worst if rise[worst] > 0 else "none"
    if rate != right:
        raise Wrong(f"The temperature is right. {rate!r} is not the rate that got worse most.")
    return "The likeliest token at each place need not lead to the best reply."
