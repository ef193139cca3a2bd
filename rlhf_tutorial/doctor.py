"""The doctor: reads the logged quantities of a run of PPO and names what is likely wrong with it.

`diagnose` takes rows of `train_ppo`, or of any trainer that logs by TRL's names. It asks one rule
after the other and gives their findings in that order: first what makes other numbers meaningless,
then what is told by numbers that can be trusted. A rule whose quantities are missing says nothing.

Simplified: fixed thresholds on means over steps, chosen while looking at runs of models of one and
two million weights (`benchmarks/doctor.py` says how well they hold on other runs). Not all that
goes wrong shows in these numbers: read the replies as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rlhf_tutorial import doctor_rules_learning as learning
from rlhf_tutorial import doctor_rules_sampling as sampling
from rlhf_tutorial.doctor_log import Finding, Log

# In the order in which they are asked and their findings are given. Where one of the first finds
# something, such as a ratio that does not start at 1, other quantities mean little.
TRUST_RULES = (
    sampling.not_numbers,
    sampling.sampler_and_learner_disagree,
    sampling.stale_log_probabilities,
)
PLAIN_RULES = (sampling.never_ends, learning.no_kl)  # of what needs no trust in the others
OTHER_RULES = (  # asked only if the first found nothing
    learning.not_whitened,
    learning.value_head_unfit,
    learning.steps_too_large,
    learning.moving_reference,
    learning.nothing_moves,
    sampling.surprising_tokens,
    learning.negative_kl,
    learning.paid_for_kl,
    learning.replies_score_alike,
    learning.score_reaches_few_tokens,
    learning.collapsed,
)

READ = (  # what the rules read
    "objective/kl",
    "objective/kl_coef",
    "objective/scores",
    "objective/entropy",
    "policy/entropy_avg",
    "policy/approxkl_avg",
    "policy/clipfrac_avg",
    "loss/policy_avg",
    "loss/value_avg",
    "val/ratio_first",
    "val/reply_length",
    "val/num_eos_tokens",
)
HEALTHY = "healthy"
NO_HISTORY = "no history"
UNKNOWN = "nothing to read"
SYMPTOMS = ("not a number", "collapse")  # what an error says by itself


def diagnose(history: Sequence[Mapping]) -> list[Finding]:
    """What is likely wrong with a run, likeliest first; one finding, "healthy", if nothing is.

    `history` holds one row of logged quantities a step, as `train_ppo` returns them; KL and
    entropy in nats a reply. Quantities may be missing, and values that are not numbers count as
    missing, except that they are reported.
    """
    if len(history) == 0:
        return [Finding(NO_HISTORY, "the history has no row", "let the run take a step first")]
    log = Log(history)
    if not log.names:
        some = ", ".join(sorted(map(str, history[0]))[:4]) or "nothing"
        return [
            Finding(
                UNKNOWN,
                f"no row has a quantity of PPO such as objective/kl; found {some}",
                "give rows with TRL's names",
            )
        ]
    findings = [finding for rule in TRUST_RULES if (finding := rule(log))]
    rules = PLAIN_RULES if findings else PLAIN_RULES + OTHER_RULES
    findings += [finding for rule in rules if (finding := rule(log))]
    if findings:  # two rules may tell of one cause: the first one speaks
        kept: dict[str, Finding] = {}
        for finding in findings:
            kept.setdefault(finding.cause, finding)
        return list(kept.values())
    asked, rows = len(TRUST_RULES + rules), f"{len(history)} row{'s' * (len(history) != 1)}"
    evidence = f"none of {asked} rules found anything in {rows}"
    missing = [name for name in READ if name not in log.names]
    if missing:
        evidence += f"; not logged, so not asked about: {', '.join(missing)}"
    return [Finding(HEALTHY, evidence, "read some replies all the same")]


def describe(findings: Sequence[Finding]) -> str:
    """Findings as lines of text, one or two each, numbered where there are several."""
    lines = []
    for number, finding in enumerate(findings, start=1):
        place = f"{number}. " if len(findings) > 1 else ""
        lines.append(f"{place}{finding.cause}: {finding.evidence}.")
        lines.append(f"{' ' * len(place)}  What to do: {finding.check}.")
    return "\n".join(lines)


def in_one_line(history: Sequence[Mapping]) -> str:
    """The likeliest finding in some words, or nothing where there is none; for error messages."""
    for finding in diagnose(history):
        if finding.cause not in (HEALTHY, NO_HISTORY, UNKNOWN, *SYMPTOMS):
            return f"likely cause: {finding.cause} ({finding.evidence}): {finding.check}"
    return ""
