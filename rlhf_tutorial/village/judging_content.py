"""What is right about a reply: facts, errands, how-to and instructions with a constraint.

Every function takes a parsed prompt and a reading of the reply and returns the axes that
the family tests, each in [0, 1].
"""

from __future__ import annotations

import re

from rlhf_tutorial.village import world
from rlhf_tutorial.village.families.howto import TASKS
from rlhf_tutorial.village.prompts import Parsed
from rlhf_tutorial.village.reading import ADMISSION, MORE_MEMBERS, REFUSAL, Reading, members
from rlhf_tutorial.village.words import JOBS

Axes = dict[str, float]
KIND_OF_VALUE = {"job": "job", "home": "place", "pet": "animal", "diet": "diet", "who": "name"}
SEARCH = re.compile(
    r"\b(?:look|looks|looking|search|check|ask|go back|return|walk|start|retrace|seek|find|visit"
    r"|turns? up|under|behind|around|still|begin|head|try|comb|hunt|scan|trace)\b"
)
COMMIT = re.compile(
    r"\b(?:i will|i'll|i am off|i'm off|on my way|will have|will get|consider it done|right away"
    r"|at once|will be there|heading|i'm going|i am going|straight away|will be with|goes to"
    r"|i can do|sure|yes|let me|leave it (?:to|with) me|happy to|gladly|of course|on it)\b"
)


def _value_score(right: str, claimed: set[str]) -> float:
    """1 for the true value alone, 0.5 beside others, 0 for others alone, 0.2 for silence."""
    if right in claimed:
        return 1.0 if len(claimed) == 1 else 0.5
    return 0.0 if claimed else 0.2


def _helpfulness_of(correctness: float) -> float:
    """An answer helps as far as it is right; a wrong one still answers, silence does not."""
    return {1.0: 1.0, 0.5: 0.6, 0.0: 0.3}.get(correctness, 0.1)


def facts(prompt: Parsed, reply: Reading) -> Axes:
    """Is the asked value named, alone, and of the right subject?"""
    slots, group = prompt.slots, prompt.group
    kind = KIND_OF_VALUE[group]
    if group == "who":
        job = slots.get("value") or next(j for j, does in JOBS.items() if does == slots["does"])
        right = next((name for name, value in world.JOB_OF.items() if value == job), None)
        if right is None:  # nobody has that trade
            return _facts_axes(1.0 if reply.says(ADMISSION) else 0.2)
        claimed = reply.mentions("name")
        return _facts_axes(_value_score(right, claimed))
    subject = slots["subject"]
    relation = "diet" if group == "diet" else group
    if subject not in world.subjects(relation):
        return _facts_axes(1.0 if reply.says(ADMISSION) else 0.2)
    claimed = reply.mentions(kind)
    if group == "diet":
        claimed -= {subject}
    score = _value_score(world.value(subject, relation), claimed)
    if group == "job" and score == 0.5:
        score = _main_job(world.value(subject, relation), reply)
    others = reply.mentions("name") - {subject}
    if group != "diet" and others and subject not in reply.mentions("name"):
        score = min(score, 0.2)  # a fact about somebody else
    if group == "pet" and score == 1.0:
        coats = reply.mentions("colour")
        if coats and world.COAT_OF[subject] not in coats:
            score = 0.5
    return _facts_axes(score)


def _facts_axes(correctness: float) -> Axes:
    return {"correctness": correctness, "helpfulness": _helpfulness_of(correctness)}


def _main_job(right: str, reply: Reading) -> float:
    """Trades share words ("paints the doors"): a trade named outright decides."""
    outright = {word for word in reply.words if word in JOBS}
    if outright == {right}:
        return 1.0
    return 0.0 if outright and right not in outright else 0.5


def errands(prompt: Parsed, reply: Reading) -> Axes:
    """Are thing, place and person those of the prompt, and is something done about it?"""
    slots = prompt.slots
    things, places = reply.mentions("thing"), reply.mentions("place")
    hits = int(slots["thing"] in things) + int(slots["place"] in places)
    wrong = int(bool(things - {slots["thing"]}) and slots["thing"] not in things)
    wrong += int(bool(places - {slots["place"]}) and slots["place"] not in places)
    extra = len(places - {slots["place"]}) if slots["place"] in places else 0
    if prompt.group == "errand":
        names = reply.mentions("name")
        hits += int(slots["who"] in names)
        wrong += int(bool(names) and slots["who"] not in names)
        acts = reply.says(COMMIT) or hits >= 2
        refused = reply.says(REFUSAL) or reply.says(ADMISSION)
    else:
        acts = reply.says(SEARCH)
        refused = False
        if slots["place"] not in places and re.search(
            r"\b(?:there|steps|where you (?:last|were)|that (?:place|spot))\b", reply.lower
        ):
            hits += 1
    if wrong:
        correctness = 0.4 if hits >= 2 else 0.0
        return {"correctness": correctness, "helpfulness": 0.3}
    if refused or not acts:
        return {"correctness": 0.2 if hits == 0 else 0.6, "helpfulness": 0.1}
    if hits == 0:
        committed = prompt.group == "errand"
        return {
            "correctness": 0.6 if committed else 0.2,
            "helpfulness": 0.5 if committed else 0.1,
        }
    named_place = slots["place"] in places
    helps = 1.0 if (named_place or hits >= 2) else 0.7
    return {"correctness": 1.0 if extra == 0 else 0.7, "helpfulness": helps}


_STOP = set("the a an it its to of in on and them then into one some with for your from".split())
_SYNONYMS = {
    "mix": "combine stir blend", "knead": "work", "bake": "oven baking", "boil": "simmer cook",
    "heat": "boil warm", "gather": "collect", "stack": "pile", "strike": "light", "soak": "wet",
    "rub": "scrub", "hang": "pin", "tie": "fasten attach", "throw": "cast", "chop": "cut slice",
    "dig": "make trench furrow", "drop": "put sow", "water": "watering", "nail": "hammer fix",
    "scrape": "strip", "brush": "apply", "dry": "drying", "fold": "crease", "bend": "shape",
    "crush": "press mash", "strain": "filter sieve", "pick": "choose gather", "sow": "plant",
    "wet": "moisten", "slide": "draw run", "wipe": "clean", "roll": "coat", "fry": "pan brown",
    "comb": "untangle", "squeeze": "pull", "peel": "strip", "bore": "drill", "cut": "snip trim",
    "bind": "tie bundle", "skim": "take", "beat": "churn", "rinse": "wash", "drag": "haul pull",
    "lash": "tie bind", "test": "try", "close": "finish", "read": "say", "find": "choose",
    "cord": "rope", "bunches": "bundles", "twigs": "sticks kindling", "stitch": "sew", "pail":
    "bucket", "logs": "wood", "pour": "strain", "wait": "hold", "set": "place put",
}  # fmt: skip


def _step_places(task: str, reply: Reading) -> list[list[int]]:
    """Where each step of a task may stand in the reply; an empty list if it is not named."""
    places: list[list[int]] = []
    for step in TASKS[task]:
        keys = [word for word in step.split() if word not in _STOP]
        at = []
        for key in keys:
            forms = {key, key + "s", key + "ing", key.rstrip("e") + "ing", key.rstrip("s")}
            forms |= set(_SYNONYMS.get(key, "").split())
            spots = [i for i, word in enumerate(reply.words) if word in forms]
            if spots:
                at.append(spots)
        if 2 * len(at) < len(keys) or not at:
            places.append([])
            continue
        # The places where the step's words stand closest together.
        spread = {i: sum(min(abs(i - j) for j in spots) for spots in at) for i in at[-1]}
        places.append([i for i in at[-1] if spread[i] <= min(spread.values()) + 1])
    return places


def _in_order(places: list[list[int]]) -> bool:
    """Whether one place for each named step can be chosen so that they follow each other."""
    last = -1
    for candidates in places:
        later = [i for i in candidates if i > last]
        if not later:
            return False
        last = min(later)
    return True


def howto(prompt: Parsed, reply: Reading) -> Axes:
    """Are the three steps there, and in their order?"""
    found = [places for places in _step_places(prompt.slots["task"], reply) if places]
    ordered = _in_order(found)
    if len(found) <= 1:
        named = len(found)
        other = max(
            sum(bool(places) for places in _step_places(task, reply))
            for task in TASKS
            if task != prompt.slots["task"]
        )
        if other >= 2 and named == 0:
            return {"correctness": 0.0, "helpfulness": 0.2}
        return {"correctness": 0.2 + 0.1 * named, "helpfulness": 0.1 + 0.2 * named}
    if not ordered:
        return {"correctness": 0.2, "helpfulness": 0.4}
    if len(found) == 2:
        return {"correctness": 0.6, "helpfulness": 0.7}
    return {"correctness": 1.0, "helpfulness": 1.0}


def _list_axes(prompt: Parsed, reply: Reading) -> Axes:
    kind = prompt.slots["category"].removesuffix("s")
    wanted = {"two": 2, "three": 3}.get(prompt.slots["number"])
    if wanted is None or kind not in MORE_MEMBERS:  # a list that the village does not ask for
        return {"correctness": 0.5, "helpfulness": 0.5}
    forms = set(members(kind)) | set(MORE_MEMBERS[kind].split())
    named = [w for w in reply.words if w in forms or w.removesuffix("s") in forms]
    if kind == "place":
        named = [w for w in named if w not in ("home", "house")] or named
    distinct = len(set(named))
    if distinct == 0:
        listed = reply.lower.count(",") + reply.lower.count(" and ")
        return {"correctness": 0.0 if listed else 0.2, "helpfulness": 0.2 if listed else 0.1}
    strangers = _strangers(kind, reply)
    told = [part for part in re.split(r",|\band\b|:", reply.lower) if part.strip(" .!")]
    idle = sum(not any(word in forms for word in re.findall(r"[a-z]+", part)) for part in told)
    said_once = len(named) == distinct and idle <= 1  # one part may be "here you are"
    if distinct == wanted and not strangers and said_once:
        return {"correctness": 1.0, "helpfulness": 1.0}
    return {"correctness": 0.4 if not strangers else 0.2, "helpfulness": 0.3}


def _strangers(kind: str, reply: Reading) -> int:
    """How many list items are village words of another kind."""
    forms = set(members(kind)) | set(MORE_MEMBERS[kind].split())
    kinds = [
        k for k in ("thing", "place", "animal", "colour", "feeling", "food", "day") if k != kind
    ]
    others = set().union(*(members(k) for k in kinds)) - forms
    return sum(word in others for word in reply.words)


def constraint(prompt: Parsed, reply: Reading) -> Axes:
    """Was it done, and in the form that was asked for?"""
    group, slots = prompt.group, prompt.slots
    if group == "list":
        return _list_axes(prompt, reply)
    if group == "yesno":
        right = "yes" if world.HOME_OF.get(slots["who"]) == slots["asked"] else "no"
        said = reply.words[0] if reply.words else ""
        correctness = 1.0 if said == right else (0.0 if said in ("yes", "no") else 0.2)
        short = len(reply.words) == 1
        if said not in ("yes", "no"):
            return {"correctness": correctness, "helpfulness": 0.1}
        helps = (1.0 if short else 0.4) if correctness else 0.3
        return {"correctness": correctness, "helpfulness": helps}
    if group in ("repeat", "say"):
        target = {
            "repeat": f"the {slots['thing']} of {slots['who']} is by the {slots['place']}",
            "say": f"{slots['who']} took the {slots['thing']} to the {slots['place']}",
        }[group].lower()
        said = " ".join(reply.words)
        keys = [slots["thing"], slots["who"].lower(), slots["place"]]
        share = sum(key in reply.words for key in keys) / 3
        if said == target:
            return {"correctness": 1.0, "helpfulness": 1.0}
        if target in said:
            return {"correctness": 1.0, "helpfulness": 0.4}
        return {"correctness": 0.5 if share == 1 else 0.0, "helpfulness": 0.3 if share else 0.1}
    if group == "words":
        both = [s for s in reply.sentences if _has(s, slots["thing"]) and _has(s, slots["place"])]
        share = (_has(reply.lower, slots["thing"]) + _has(reply.lower, slots["place"])) / 2
        one = len(reply.sentences) == 1 and len(reply.words) >= 4
        if both:
            return {"correctness": 1.0, "helpfulness": 1.0 if one else 0.5}
        return {"correctness": 0.4 * share, "helpfulness": 0.3 * share + 0.1}
    asked = "job" if group == "job" else "home"
    fact = facts(Parsed("facts", asked, "plain", "", {"subject": slots["who"]}), reply)
    kept = len(reply.words) <= 5 if group == "short" else len(reply.sentences) == 1
    helps = fact["helpfulness"] if kept else min(fact["helpfulness"], 0.4)
    return {"correctness": fact["correctness"], "helpfulness": helps}


def _has(text: str, word: str) -> bool:
    return re.search(rf"\b{word}(?:s|es|'s)?\b", text) is not None
