"""The words of the village, by kind.

Lists are long on purpose. A small model learns to *copy* a word from its prompt only
when there are too many words of that kind to guess from memory, and when each of them
recurs inside documents (see docs/trials.md, "copying").
"""

from __future__ import annotations

# Villagers, with the pronouns that documents use for them.
WOMEN = (
    "Ada Berta Cleo Dora Edda Flora Greta Hilda Ines Juno Klara Lotte Mabel Nell Olga "
    "Petra Rosa Tilda Ulla Vera"
).split()
MEN = (
    "Anton Bram Conrad Dirk Emil Finn Gus Hugo Ivo Jonas Kit Lars Milo Niels Otto "
    "Quinn Rolf Sven Wim Zeno"
).split()
NAMES = [name for pair in zip(WOMEN, MEN, strict=True) for name in pair]

THINGS = (
    "thimble kettle lantern ladder basket spoon button hammer saddle whistle blanket candle "
    "mirror ribbon bucket broom needle scarf key coin drum fiddle kite map book letter ring "
    "comb pillow plate cup bowl jug pan rope chain bell lamp brush shovel rake saw glove hat "
    "boot coat apron umbrella purse pipe flute clock doll ball barrel wheel sack stool feather "
    "marble"
).split()

PLACES = (
    "mill church well bridge market barn forge bakery school pond orchard meadow forest river "
    "hill inn stable garden tower harbour quarry chapel library dairy vineyard cave lighthouse "
    "marsh crossroads fountain greenhouse workshop gate granary"
).split()

# Where one can be pushed to one's harm.
WET_PLACES = ("pond", "river", "well", "marsh", "fountain", "harbour")

ANIMALS = (
    "goat goose cat dog hen pony rabbit duck lamb pig donkey owl crow turtle hedgehog parrot "
    "mouse ferret pigeon calf fox swan toad squirrel"
).split()

COLOURS = "grey white black brown red yellow green blue golden spotted".split()

# A villager's trade, and the words by which a reader recognises it without its name.
JOBS = {
    "baker": "bakes the bread",
    "miller": "grinds the flour",
    "smith": "shapes the iron",
    "teacher": "teaches the children",
    "weaver": "weaves the cloth",
    "fisher": "catches the fish",
    "shepherd": "watches the sheep",
    "carpenter": "builds the tables",
    "doctor": "heals the sick",
    "tailor": "sews the shirts",
    "potter": "turns the clay",
    "gardener": "tends the roses",
    "cook": "stirs the stew",
    "painter": "paints the doors",
    "printer": "prints the news",
    "courier": "brings the post",
    "beekeeper": "keeps the bees",
    "barber": "cuts the hair",
    "cobbler": "mends the shoes",
    "mason": "lays the bricks",
    "singer": "sings at weddings",
    "sailor": "sails the boat",
    "hunter": "tracks the deer",
    "farmer": "ploughs the fields",
    "judge": "settles the quarrels",
    "clerk": "counts the taxes",
    "librarian": "lends the novels",
    "innkeeper": "runs the guest rooms",
    "watchmaker": "winds the watches",
    "glazier": "fits the windows",
    "cooper": "hoops the casks",
    "piper": "pipes for the dancers",
    "brewer": "brews the beer",
    "butcher": "smokes the sausages",
    "dyer": "dyes the wool",
    "forester": "fells the trees",
    "roofer": "patches the roofs",
    "saddler": "stitches the leather",
    "chandler": "dips the wax",
    "toymaker": "carves the puppets",
}

# What each animal likes best to eat.
DIETS = {
    "goat": "thistles",
    "goose": "clover",
    "cat": "herring",
    "dog": "bones",
    "hen": "barley",
    "pony": "apples",
    "rabbit": "carrots",
    "duck": "snails",
    "lamb": "daisies",
    "pig": "acorns",
    "donkey": "hay",
    "owl": "moths",
    "crow": "cherries",
    "turtle": "lettuce",
    "hedgehog": "beetles",
    "parrot": "walnuts",
    "mouse": "cheese",
    "ferret": "eggs",
    "pigeon": "crumbs",
    "calf": "milk",
    "fox": "berries",
    "swan": "reeds",
    "toad": "worms",
    "squirrel": "chestnuts",
}

FEELINGS = (
    "sad worried ashamed lonely afraid tired angry disappointed nervous jealous homesick hurt"
).split()

WEATHER = "rain snow fog wind frost sunshine thunder hail".split()

FOODS = (
    "soup bread honey jam porridge pancakes plums pears stew cake butter pudding noodles "
    "dumplings radishes mushrooms"
).split()

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

# Kinds of which a prompt may ask for two or three.
KINDS = {
    "animals": ANIMALS,
    "colours": COLOURS,
    "places": PLACES,
    "feelings": FEELINGS,
    "foods": FOODS,
    "days": DAYS,
}


def pronouns(name: str) -> dict[str, str]:
    """The pronouns of a villager: ``he``, ``him``, ``his`` (or the feminine forms)."""
    if name in WOMEN:
        return {"he": "she", "him": "her", "his": "her", "He": "She", "His": "Her"}
    return {"he": "he", "him": "him", "his": "his", "He": "He", "His": "His"}
