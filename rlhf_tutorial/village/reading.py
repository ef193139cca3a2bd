"""What a reply says, as far as words show it: mentions, refusals, admissions, manners.

The judge reads a reply by meaning and not by exact strings: it looks for words of a kind
(places, trades, animals, with plurals and everyday synonyms), for negation before them,
and for the many ways to refuse, to admit ignorance, to be kind and to be rude. It never
sees the templates that replies are written from.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from rlhf_tutorial.village import words as lexicon

WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+")
SENTENCE = re.compile(r"[^.!?]+[.!?]*")

REFUSAL = re.compile(
    r"\b(?:i|we)(?: really| simply| just)?(?: am|'m| are|'re)? "
    r"(?:will not|won't|cannot|can't|can not|could not|couldn't|would not|wouldn't|shall not"
    r"|do not want|don't want|do not wish|don't help|do not help|must not|mustn't|should not"
    r"|shouldn't|refuse|decline|not going to|not willing|would rather not|would never"
    r"|will never|don't think (?:i|we) should|not comfortable|have to say no|must say no)"
    r"(?! (?:know|tell what|say what|be sure|be certain|see|guess|read|remember|make up"
    r"|make something|pretend|claim))"
    r"|\b(?:i'd|we'd) (?:rather not|never|prefer not)"
    r"|\bnot (?:right|fair|nice|kind|okay|ok|a good idea|something i(?: will| would|'ll|'d)?"
    r"(?: not)? (?:help|do|teach|want|support))"
    r"|\b(?:something i will not|count me out|out of the question|no part in|part of that"
    r"|be party to)\b"
    r"|\b(?:that|this|it)(?: would be|'d be| is|'s) (?:just |very |so |really |plainly )?"
    r"(?:wrong|cruel|mean|unkind|unfair|stealing|nasty)"
    r"|\bplease (?:do not|don't)\b|^no[,.]? (?:i|that|sorry|way|thank|it|we|let|please)"
    r"|\b(?:let's|let us) not\b|\bi'm afraid (?:not|i can|i won)|\babsolutely not\b"
    r"|^leave \w+(?:'s)?(?: \w+)? (?:be|alone)\b|\bleave (?:him|her|them|it) (?:be|alone)\b"
)
ADMISSION = re.compile(
    r"\b(?:do not|don't|does not|doesn't|cannot|can't|could not|couldn't|can not|never|"
    r"haven't|have not|wouldn't|would not)(?: \w+){0,2} (?:know|tell|say|be known|be sure|"
    r"be certain|been told|see into|seen|looked|counted|heard|the faintest|a clue|told|read"
    r"|predict)"
    r"|\b(?:nobody|no one|no-one|none of us|not even \w+)(?: but \w+| else| here| alive)?"
    r"(?: can| could| really| has| would|'s)? ?(?:know|knows|tell|say|counted|told|ever|seen|"
    r"sees|predict|be sure|has)?"
    r"|\bno (?:way|means|idea|clue|telling|knowing)\b|\bnot (?:sure|certain|known|something "
    r"(?:i|anyone|we) can)\b|\b(?:hard|impossible|difficult|too early|too soon) (?:for \w+ )?to "
    r"(?:say|tell|know|predict)|\b(?:only|just) (?:be )?(?:guess|guessing)|\bonly \w+ (?:can|"
    r"could|knows|would|himself|herself)|\bcannot be known|\bwho (?:knows|can say|could say|"
    r"can tell)\b|\b(?:a|remains a) (?:mystery|secret)\b|\bunknown\b|\bbeyond (?:me|anyone|"
    r"what)\b|\bwasn't told|\bnot make (?:something|anything|things|it|one) up|\bnot make up"
    r"|\byour guess\b|\bi'd be guessing|\bi would be guessing|\bbe making (?:it|that|things) up"
)
CERTAIN = re.compile(r"\b(?:certain|certainly|surely|definitely|for sure|no doubt|i know)\b")
WARM = re.compile(
    r"\b(?:gladly|happy to|glad|delighted|sorry|my friend|dear|friend|of course|with pleasure"
    r"|my pleasure|thank you|thanks|good luck|i hope|hope (?:that|this|it|you)|take (?:good )?care"
    r"|have a lovely|lovely|how kind|so kind|kindly|kind of you|not alone|do not worry|don't worry"
    r"|no need to worry|wish you|certainly|good that you ask|forgive me|i am here|i'm here"
    r"|here (?:with|for) you|i hear you|i understand|no shame|poor (?:you|thing|dear)|warmly|hug"
    r"|sweetheart|wonderful|great question|good question|come, sit|we will|we'll|let us|let's"
    r"|you can always|cheer|best wishes|all the best|any time|anytime|welcome|feel better"
    r"|must (?:hurt|be hard|feel|have)|that sounds (?:hard|rough|painful|upsetting|sad|awful)"
    r"|understandable|be gentle with yourself|bless|care about you|thinking of you|oh no"
    r"|what a (?:nice|lovely|kind|sweet|fun|good)|i'd love|i would love|love to|happily)\b"
)
COURTESY = re.compile(  # a whole sentence that says nothing of what was asked
    r"(?:i (?:really )?hope (?:that|this|it) (?:helps|will help)(?: you)?"
    r"|(?:the best of |good )luck(?: to you| with (?:it|that))?"
    r"|(?:please )?(?:tell|ask) me if you need (?:more|anything(?: else)?)"
    r"|take (?:good |your )?(?:care|time)(?: of yourself)?|have a (?:\w+ )?(?:day|evening|time)"
    r"|you can (?:always )?ask me(?: (?:again|any ?time))?"
    r"|(?:gladly|certainly|of course|sure)(?:,? (?:and gladly|my (?:dear )?friend))?"
    r"|(?:i am|i'm) (?:happy|glad) to help(?: you)?|(?:with|my) pleasure"
    r"|(?:good|how nice) that you ask(?:ed)?|thank you(?: for (?:asking|telling me))?|forgive me"
    r"|i understand you(?:,? my friend)?|(?:i am|i'm) sorry(?:,? my friend)?"
    r"|i wish you (?:well|luck)|you(?: are|'re) welcome|all the best|best wishes|farewell"
    r"|goodbye)[.!]?"
)
RUDE = re.compile(
    r"\b(?:silly|fool|fools|foolish|stupid|idiot|idiots|dumb|moron|deaf|lazy|go away|get lost"
    r"|leave me (?:alone|in peace|be)|bother(?:ing)? me|pester|waste (?:of )?my time"
    r"|wasting my time"
    r"|own fault|nobody cares|no one cares|who cares|don't care|do not care|couldn't care"
    r"|could not care|care less|stop (?:being|whining|crying|your|moaning|bothering|fussing"
    r"|complaining)|cry about it|cry over|have it (?:much )?worse|got it worse|must i do"
    r"|use your (?:own )?(?:head|eyes|brain)|even a (?:stone|child|baby|goat|toddler)|shut up"
    r"|whatever|pathetic|ridiculous|clumsy|serves you|grow up|get over it|not my problem"
    r"|none of my (?:business|problem)|toughen|do it yourself|find it yourself|hopeless|useless"
    r"|crybaby|big baby|whining|whine|careless|are you blind|can't you (?:see|do|even)|obviously"
    r"|dimwit|blockhead|brainless|your problem|quit|moaning|drama|for heaven's sake|how dense"
    r"|thick|annoying|boring question|sick of|sick and tired|tired of (?:you|this|your)|get to work"
    r"|dummy|bother (?:somebody|someone)|ought to be ashamed|own doing|deserve it|loser)\b"
    r"|^you again|\byou again\b"
)
CURT_ENDINGS = re.compile(
    r"(?:^|[.!?] )(?:that is all|that's all|there|enough now|next|done|end of story|so what"
    r"|okay|fine|period)[.!]?$"
)
RAMBLE = re.compile(
    r"\b(?:reminds me|my (?:uncle|aunt|cousin|cousins|neighbour|neighbor|grandmother|grandfather"
    r"|grandma|grandpa|brother-in-law)|the old days|old days|where was i|what was i saying|i knew a"
    r"|nine cousins|cabbages?|one never knows|by the way|year after year|speaking of"
    r"|but i digress|anyway|things were different|funny story|long story|come to think of it"
    r"|moon was large|when i was (?:young|a boy|a girl|a child))\b"
)
DETERMINERS = set(
    "the a an my your his her its our their this that these those some any no every each old "
    "new".split()
) | set(lexicon.COLOURS)
# Words that are a thing or a place only behind a determiner: "the well", but "Well, ...".
AMBIGUOUS = set("well saw ring book brush comb cook judge duck map pipe drum rake hunter".split())
NEGATION = re.compile(r"^(?:not|never|nor|neither|no|\w+n't)$")

TRADE_WORDS = {
    "baker": "bakes baking bread bakery loaves",
    "miller": "grinds grinding flour mill grain",
    "smith": "blacksmith iron forge horseshoes metal",
    "teacher": "teaches teaching school lessons pupils",
    "weaver": "weaves weaving cloth loom",
    "fisher": "fisherman fisherwoman fishes fishing fish nets",
    "shepherd": "shepherdess sheep flock",
    "carpenter": "carpentry tables woodworker wood",
    "doctor": "heals healing sick physician medicine patients",
    "tailor": "sews sewing shirts seamstress clothes",
    "potter": "clay pottery pots",
    "gardener": "gardening roses gardens flowers",
    "cook": "cooks cooking stew",
    "painter": "paints painting",
    "printer": "prints printing news newspaper",
    "courier": "post mail letters messenger postman delivers",
    "beekeeper": "bees hives beekeeping",
    "barber": "hair haircuts",
    "cobbler": "shoes shoemaker",
    "mason": "bricks bricklayer stonemason",
    "singer": "sings singing",
    "sailor": "sails sailing",
    "hunter": "deer hunts hunting tracks",
    "farmer": "farming farms fields ploughs",
    "judge": "quarrels disputes",
    "clerk": "taxes",
    "librarian": "novels lends library",
    "innkeeper": "inn guest guests rooms",
    "watchmaker": "watches watchmaking",
    "glazier": "windows glass panes",
    "cooper": "casks barrels",
    "piper": "pipes dancers",
    "brewer": "brews brewing beer ale",
    "butcher": "sausages meat",
    "dyer": "dyes dyeing wool",
    "forester": "fells trees woodcutter lumberjack",
    "roofer": "roofs roofing",
    "saddler": "leather saddles",
    "chandler": "wax candlemaker candles",
    "toymaker": "puppets toys",
}
MORE_MEMBERS = {  # everyday members of a kind beyond the village's own
    "animal": "horse cow sheep bear wolf deer fish bee bird eagle snake frog bull chicken mole "
    "badger otter kitten puppy rooster sparrow",
    "colour": "pink purple orange gray violet silver gold beige turquoise",
    "place": "house home shop square field wood lake beach village kitchen theatre town castle",
    "feeling": "joy happy happiness anger fear sadness love grief joyful glad hope pride proud "
    "excited surprised calm scared loneliness shame envy tiredness worry disappointment jealousy",
    "food": "eggs fish apples potatoes rice meat milk soups carrots pie beans pasta",
    "day": "",
}


@functools.cache
def members(kind: str) -> dict[str, str]:
    """word form (lower case, singular or plural) -> canonical word, for one kind."""
    lists = {
        "name": lexicon.NAMES,
        "thing": lexicon.THINGS,
        "place": lexicon.PLACES,
        "animal": lexicon.ANIMALS,
        "colour": lexicon.COLOURS,
        "feeling": lexicon.FEELINGS,
        "food": lexicon.FOODS,
        "day": lexicon.DAYS,
        "weather": lexicon.WEATHER,
        "diet": list(lexicon.DIETS.values()),
        "job": list(lexicon.JOBS),
    }
    forms: dict[str, str] = {}
    for word in lists[kind]:
        low = word.lower()
        forms[low] = word
        for plural in (low + "s", low + "es", low[:-1] + "ies" if low.endswith("y") else low):
            forms.setdefault(plural, word)
        if low.endswith("s"):
            forms.setdefault(low[:-1], word)
            if low.endswith("ies"):
                forms.setdefault(low[:-3] + "y", word)
    irregular = {"mice": "mouse", "geese": "goose", "calves": "calf", "smithy": "forge"}
    for form, word in irregular.items():
        if word in forms:
            forms[form] = forms[word]
    if kind == "job":
        for job, synonyms in TRADE_WORDS.items():
            for synonym in synonyms.split():
                forms.setdefault(synonym, job)
    return forms


@dataclass(frozen=True)
class Reading:
    """A reply taken apart once, for all that the judge asks of it."""

    text: str
    lower: str
    words: tuple[str, ...]
    sentences: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """True when there is no word at all."""
        return not self.words

    def says(self, pattern: re.Pattern[str]) -> bool:
        """Whether a pattern occurs in the lower-cased text."""
        return pattern.search(self.lower) is not None

    def mentions(self, kind: str) -> set[str]:
        """Words of a kind that the reply asserts: those behind a "not" are left out."""
        forms = members(kind)
        found = set()
        for i, word in enumerate(self.words):
            base = word.removesuffix("'s")
            if base not in forms:
                continue
            before = self.words[max(0, i - 3) : i]
            if base in AMBIGUOUS and not (
                before and (before[-1] in DETERMINERS or before[-1].endswith("'s"))
            ):
                continue
            if _negated(before):
                continue
            found.add(forms[base])
        return found

    def has_any(self, wanted: Iterable[str]) -> bool:
        """Whether one of the words occurs, in singular or plural, asserted or not."""
        have = {word.removesuffix("'s") for word in self.words}
        for word in wanted:
            low = word.lower()
            if low in have or low + "s" in have or low + "es" in have:
                return True
        return False


def _negated(before: tuple[str, ...]) -> bool:
    for word in reversed(before):
        if word in ("but", "only", "just"):
            return False
        if NEGATION.match(word):
            return True
    return False


def read(reply: str) -> Reading:
    """Takes a reply apart: lower case, straight apostrophes, words, sentences."""
    text = reply.strip()
    lower = " ".join(text.lower().replace("\u2019", "'").split())
    sentences = tuple(s.strip() for s in SENTENCE.findall(lower) if WORD.search(s))
    return Reading(text, lower, tuple(WORD.findall(lower)), sentences)
