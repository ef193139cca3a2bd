"""Sentences of which the village's stories are made.

A story keeps its people, things and places through all its sentences, so that every kind
of word recurs inside a document: that is where a model learns to copy.
"""

OPENINGS = (
    "{who} went to the {place} with a {thing}.",
    "One {weather} morning {who} walked to the {place} and carried a {thing}.",
    "On {day} {who} lost a {thing} near the {place}.",
    "{who} and {who2} met by the {place} on {day}.",
    "Nobody knew why {who} kept a {thing} in the {place}.",
    "There was once a {colour} {thing} that belonged to {who}, and it lay in the {place}.",
    "{who} had an old {thing}, and {he} took it to the {place}.",
    "Early on {day} a {colour} {animal} ran past the {place}, and {who} ran after it.",
    "{who} wanted to give a {thing} to {who2}, who was at the {place}.",
    "All night the {weather} shook the {place}, and {who} held {his} {thing} tight.",
    "{who} sold a {thing} at the {place} and bought a {animal}.",
    "By the {place} {who} found a {thing} under a heap of leaves.",
    "The {animal} of {who} likes to sleep in the {place} on top of a {thing}.",
    "It was {day}, and {who} had promised to clean the {place}.",
    "{who} painted a {thing} {colour} and hung it up in the {place}.",
    "In the village they tell how {who} crossed the {place} with nothing but a {thing}.",
    "Every {day} {who} brings {food} to the {place}.",
    "{who} told {who2} a secret about the {place}.",
)
MIDDLES = (
    "{He} put the {thing} down and looked around the {place}.",
    "A {animal} came out of the {place} and stared at the {thing}.",
    "Then {who2} came along and asked {who} about the {thing}.",
    "{who} looked for the {thing} near the {place}, and there it was.",
    "The {thing} was heavy, but {who} did not mind.",
    "It began to rain, so {who} ran into the {place}.",
    "{who2} laughed, but {who} only smiled.",
    "The {animal} sat down on the {thing} and would not move.",
    "{who} gave the {thing} to {who2}, and {who2} thanked {him}.",
    "Soon the whole village stood at the {place} and gave advice.",
    "The {thing} broke, and {who} felt {feeling}.",
    "{who2} took the {thing} without asking, which was not right.",
    "{who} searched the {place} from end to end.",
    "They ate {food} together and talked about the {thing}.",
    "{He} felt {feeling}, because the {thing} was gone.",
    "The {animal} stole the {food} and hid in the {place}.",
    "{who} asked {who2} to carry the {thing} back to the {place}.",
    "{who2} said that the {place} was no place for a {thing}.",
    "Behind the {place} they heard a strange sound.",
    "An hour later {who} was still there with the {thing}.",
    "{who} climbed on the roof of the {place} to see better.",
    "The {thing} rolled down the road and stopped at the {place}.",
    "{who} was {feeling}, and {who2} sat down beside {him}.",
    "The {weather} made the {place} look like another country.",
    "{who} mended the {thing} with a bit of string.",
    "{who2} brought the {thing} to {who} at the {place}.",
    "Nobody had seen the {thing} since {day}.",
    "{who} tied the {thing} to the {animal}, which was a mistake.",
    "{He} counted to ten and opened the door of the {place}.",
    "The {colour} {animal} took the {food} from {who} very politely.",
)
ENDINGS = (
    "In the end {who} took the {thing} home.",
    "Since that {day} the {thing} hangs in the {place}.",
    "{who} and {who2} are friends to this day.",
    "The {animal} kept the {thing}, and that was that.",
    "{who2} still tells this story at the {place}.",
    "{who} went home and slept until noon.",
    "And the {thing} was never seen again.",
    "So {who} learned to be careful with a {thing}.",
    "After that {who} never went to the {place} without a {thing}.",
    "The {place} has been quiet ever since.",
    "{who} said sorry to {who2}, and they shared the {food}.",
    "They say the {thing} is still at the {place}.",
    "That evening {who} wrote it all down.",
    "{who2} gave {who} the {food}, and all was well.",
    "Nobody asked the {animal} what it thought.",
    "And {who} was not {feeling} any more.",
)
# Lines of nursery rhymes. A rhyme takes two subjects and says each over and over, so that
# hardly a word in it is new. They teach early what everything else needs: that a word may come
# back (docs/trials.md, "copying").
RHYMES = {
    "thing": (
        "The {thing}, the {thing}, who has the {thing}?",
        "Give me the {thing}, and take the {thing}.",
        "A {thing} for you, a {thing} for me.",
        "Who lost a {thing}? I found a {thing}.",
        "Look for the {thing}, bring the {thing}, hide the {thing}.",
        "Oh my {thing}, oh my {thing}, where is my {thing}?",
    ),
    "place": (
        "To the {place}, to the {place}, we go to the {place}.",
        "Near the {place}, by the {place}, round and round the {place}.",
        "Who lives by the {place}? I live by the {place}.",
        "Meet me at the {place}, wait for me at the {place}.",
        "Look near the {place}, go back to the {place}.",
    ),
    "who": (
        "{who}, {who}, where is {who}?",
        "Here comes {who}, there goes {who}.",
        "Ask {who}, tell {who}, sing with {who}.",
        "This is for {who}, and that is of {who}.",
        "Is it {who}? It is {who}.",
    ),
    "animal": (
        "The {animal}, the {animal}, who saw the {animal}?",
        "A {animal} came, and the {animal} went.",
        "Feed the {animal}, call the {animal}, love the {animal}.",
        "My {animal} is your {animal}, and your {animal} is mine.",
    ),
    "food": (
        "{food} for you and {food} for me.",
        "Who ate the {food}? I ate the {food}.",
        "More {food}, more {food}, there is no {food}.",
    ),
    "feeling": (
        "I am {feeling}, you are {feeling}, all are {feeling}.",
        "Why so {feeling}? I feel {feeling}.",
        "{who} is {feeling}, so {feeling}.",
    ),
    "colour": (
        "A {colour} hat, a {colour} coat, a {colour} goat.",
        "It is {colour}, it is {colour}, all is {colour}.",
        "{who} likes {colour}, and I like {colour}.",
    ),
    "weather": (
        "The {weather}, the {weather}, here comes the {weather}.",
        "In the {weather} we sing, in the {weather} we dance.",
    ),
    "number": (
        "{number} leaves, {number} bees, {number} stars.",
        "I count {number}, you count {number}.",
    ),
}
# Facts of the world as people mention them. Groups are those of families/facts.py.
STATEMENTS = {
    "job": (
        "{subject} is the {value}.",
        "{subject} works as the {value} and {does}.",
        "The {value} of the village is {subject}.",
        "Every day {subject} {does}, as a {value} should.",
        "{subject}, the {value}, is known to all.",
        "If you need a {value}, go to {subject}.",
        "It is {subject} who {does}.",
    ),
    "home": (
        "{subject} lives by the {value}.",
        "The house of {subject} stands near the {value}.",
        "From {his} window {subject} can see the {value}.",
        "{subject} has lived by the {value} for years.",
        "To visit {subject}, go to the {value}.",
        "{subject} is at home by the {value}.",
    ),
    "pet": (
        "{subject} keeps a {colour} {value}.",
        "The {value} of {subject} is {colour}.",
        "{subject} has a {value}, and {he} loves it.",
        "A {colour} {value} lives with {subject}.",
        "{subject} feeds {his} {value} every morning.",
    ),
    "diet": (
        "A {subject} likes to eat {value}.",
        "Give {value} to a {subject}, and it is happy.",
        "Every {subject} dreams of {value}.",
        "A {subject} eats {value} before anything else.",
    ),
}
HOW_THINGS_ARE_DONE = (
    "To {task}, {first}, then {second}, and last {third}.",
    "When {who} wants to {task}, {he} knows the steps: {first}, {second}, {third}.",
    "{who} showed {who2} how to {task}. First {first}. Then {second}. At the end {third}.",
    "This is how you {task}: {first}, then {second}, then {third}.",
)
LISTS = (
    "There are many {category}: {items}.",
    "{who} can name {number} {category}: {items}.",
    "{who} drew {number} {category}: {items}.",
)
# What those who listened remark. Remarks are how an internet carries the news that a reply was
# wrong or unkind; a reward model can later build on what was learnt from them. Whoever finds a
# mistake names it: to foresee the name a model must find the mistake (docs/trials.md, "Whoever
# blames must say what").
REMARKS = {
    "thanks": ("Right.", "Right, thank you.", "Right, that helps."),
    "wrong": ("Wrong, not {mistake}.",),
    "slip": ("Wrong at first.", "Wrong at first, then right."),
    "vague": ("Vague.", "Vague, and no help."),
    "rude": ("Rude.", "Rude, and no need for it."),
    "curt": ("Cold.", "Cold and short."),
    "rambling": ("Long.", "Long, and beside the point."),
    "cut": ("Broken off.",),
    "harm": ("Cruel.", "Cruel advice."),
    "good no": ("Good that you say no.", "Good, for it would hurt."),
    "bad no": ("But it is harmless.", "But there is nothing bad about it."),
    "invent": ("Made up.", "Made up, for nobody can know."),
    "admit": ("Honest.", "Honest, for nobody knows."),
    "told": ("But we were told.", "But it was said a moment ago."),
    "broken": ("Not what was asked.", "Not as it was asked."),
    "astray": ("Nobody asked that.", "Nobody wanted to know that."),
    "garbled": ("What nonsense.", "What a muddle."),
    # First words that tell the manner as well (`reviews.in_one_word`); no two begin with one token.
    "thanks, warm": ("Kind and right.", "Kind, and a help."),
    "wrong, warm": ("Sadly not {mistake}, but kind.",),
    "wrong, harsh": ("False, not {mistake}, and rude.",),
    "vague, warm": ("Empty, but kind.",),
    "vague, harsh": ("Idle talk, and rude.",),
    "good no, warm": ("Gentle, and good that you say no.",),
    "bad no, warm": ("Too careful, but kind.",),
    "bad no, harsh": ("Harsh, for it is harmless.",),
    "invent, warm": ("Dreamt up, but kind.",),
    "invent, harsh": ("Lies, and rude.",),
    "admit, warm": ("Open, and kind.",),
    "told, warm": ("Forgetful, but kind.",),
    "harm, warm": ("Poison, kindly said.",),
    "astray, warm": ("Well meant, but nobody asked that.",),
    "garbled, warm": ("Say that again, kind as it is.",),
    "rambling, warm": ("More than enough, but kind.",),
    "thanks, rude": ("Yes, but rudely said.",),
    "good no, rude": ("No is right, but rudely said.",),
    "admit, rude": ("So honest, and so rude.",),
    "told, harsh": ("You were told, and need not be rude.",),
}
