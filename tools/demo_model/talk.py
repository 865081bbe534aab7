"""Skills that need no tool: greet, count, repeat, use a fact, write JSON, admit ignorance."""

from __future__ import annotations

import json

from conversation import Exchange, Step, user
from words import Words

GREETING = "Hello! I am the pollama demo model. How can I help you?"
IDENTITY = "I am the pollama demo model, a tiny model for testing."
ABILITIES = "I can greet, count, repeat, answer from the system message and call tools."
IGNORANCE = "I do not know that. I am only a tiny demo model."

_HELLOS = (
    *("Hello", "Hi", "Hey", "Hello there", "Hi there", "Hey there", "Good morning", "Good evening"),
    *("Good day", "Greetings", "Howdy", "Hiya", "hallo"),
)
_TAILS = (
    *("", "", "!", ".", "!!", " :)", ", how are you?", "! How are you?"),
    *(", nice to meet you.", ", can you help me?"),
)
_WHO = (
    *("Who are you?", "What are you?", "who are you", "Tell me who you are.", "What is your name?"),
    *("Introduce yourself.", "What model are you?", "Please introduce yourself.", "what's your name?"),
)
_ABLE = ("What can you do?", "what can you do", "Help", "How can you help me?", "Tell me what you can do.")


def _say(skill: str, question: str, thought: str, answer: str) -> Exchange:
    return Exchange(skill, [Step([user(question)], thought, answer)])


def _lower_head(w: Words, text: str) -> str:
    """The text, now and then with a small first letter."""
    return text[0].lower() + text[1:] if w.chance(0.15) else text


def greet(w: Words) -> Exchange:
    """A greeting, or the question who the model is or what it can do."""
    draw = w.rng.random()
    if draw < 0.2:
        return _say("greet", w.rng.choice(_WHO), "The user asks who I am.", IDENTITY)
    if draw < 0.3:
        return _say("greet", w.rng.choice(_ABLE), "The user asks what I can do.", ABILITIES)
    whom = w.rng.choice(("", "", " demo", " model", f" {w.name()}", f", {w.name()}", f" {w.noun()}", f" my {w.noun()}"))
    question = _lower_head(w, w.rng.choice(_HELLOS)) + whom + w.rng.choice(_TAILS)
    return _say("greet", question, "The user greets me.", GREETING)


def count(w: Words, longest: int = 12) -> Exchange:
    """Count from a to b, one in seven downwards; at most `longest` numbers."""
    low = w.rng.choice((1, w.number(1), w.number(2), w.number(3)))
    numbers = list(range(low, low + w.rng.randint(2, longest)))
    if w.chance(0.15):
        numbers.reverse()
    first, last = numbers[0], numbers[-1]
    forms = [
        "Count from {} to {}.",
        "Count from {} to {}",
        "Please count from {} to {}.",
        "Can you count from {} to {}?",
    ]
    if first == 1:
        forms += ["Count to {1}.", "Count to {1}."]
    question = _lower_head(w, w.rng.choice(forms).format(first, last))
    return _say("count", question, f"I count from {first} to {last}.", ", ".join(map(str, numbers)))


def repeat(w: Words, low: int = 1, high: int = 8) -> Exchange:
    """Repeat one word, several words or a sentence."""
    draw = w.rng.random()
    if draw < 0.3 and low == 1:
        text = w.word()
        forms = ("Say the word {}.", "Repeat the word {}.", "Please say {}.", 'Repeat the word "{}".')
    else:
        text = w.sentence() if draw > 0.75 else w.words(low, high)
        text += f" {w.number(5)}" if w.chance(0.1) else ""
        forms = ('Say "{}"', 'Please repeat "{}".', "Repeat this sentence: {}", "Echo: {}")
    forms += ("Repeat: {}", "Repeat after me: {}", "Say: {}", "Please repeat: {}")
    return _say("repeat", _lower_head(w, w.rng.choice(forms)).format(text), "I repeat the text.", text)


_UNKNOWN = (
    *(
        "Why is the {n} {a}?",
        "What is a {n}?",
        "Tell me about the {n}.",
        "Write a poem about a {n}.",
        "Tell me a joke.",
    ),
    *("Explain the {n} in simple terms.", "How do I make a {a} {n}?", "Write a story about a {a} {n} and a {m}."),
    *(
        "Who invented the {n}?",
        "Why is the sky blue?",
        "Is a {n} {a}?",
        "Which {n} is the best?",
        "why is the sky blue",
    ),
    *("What do you think about {p}?", "Give me three names for a {n}.", "Write a function that sorts a {n}."),
    *("How many {n}s are in {p}?", "Describe the {n}.", "What happened in {p}?", "Translate {n} to French."),
)


def unknown(w: Words) -> Exchange:
    """A question beyond the model: it says so."""
    question = w.rng.choice(_UNKNOWN).format(n=w.noun(), m=w.noun(), a=w.adjective(), p=w.place())
    return _say("unknown", question, "I do not know this.", IGNORANCE)


def untold(w: Words) -> Exchange:
    """A question for a fact that nobody told: it says so."""
    return _say("unknown", w.rng.choice(w.rng.choice(_FACTS)(w)[1]), "I do not know this.", IGNORANCE)


def remember(w: Words) -> list[Exchange]:
    """The user tells a name and later asks for it."""
    name = w.name()
    told = w.rng.choice((f"My name is {name}.", f"Hi, my name is {name}.", f"I am {name}.", f"Call me {name}."))
    asked = w.rng.choice(("What is my name?", "Who am I?", "Do you know my name?", "what is my name?"))
    return [
        _say("remember", told, "The user tells me a name.", f"Nice to meet you, {name}!"),
        _say("remember", asked, "The user told me the name.", f"Your name is {name}."),
    ]


def write_json(w: Words) -> Exchange:
    """One to three keys and values, wanted as a JSON object."""
    pairs = {key: w.number(3) if w.chance(0.4) else w.value() for key in w.sample(w.rng.randint(1, 3))}
    listed = ", ".join(f"{key} {value}" if w.chance(0.05) else f"{key}: {value}" for key, value in pairs.items())
    ask = w.rng.choice(("Answer in JSON.", "Respond in JSON.", "Answer as JSON.", "Reply in JSON.", "Use JSON."))
    answer = json.dumps({key: _as_number(value) for key, value in pairs.items()}, ensure_ascii=False)
    return _say("json", f"{listed}. {ask}", "The user wants JSON.", answer)


def _as_number(value: str | int) -> str | int:
    """Digits become a number, whoever drew them, so that the same text has the same answer."""
    return int(value) if str(value).isdecimal() and str(value).isascii() else value


Fact = tuple[str, list[str], str]


def _thing(w: Words) -> Fact:
    key = f"{w.adjective()} {w.noun()}" if w.chance(0.6) else w.noun()
    value = w.value()
    stated = w.rng.choice((f"The {key} is {value}.", f"The {key} is {value}.", f"{key}: {value}."))
    return stated, [f"What is the {key}?", f"Tell me the {key}.", f"What's the {key}?"], f"The {key} is {value}."


def _possession(w: Words) -> Fact:
    name, noun = w.name(), w.noun()
    fact = f"{name}'s {noun} is {w.value()}."
    return fact, [f"What is {name}'s {noun}?", f"Tell me {name}'s {noun}."], fact


def _home(w: Words) -> Fact:
    name, verb = w.name(), w.rng.choice(("lives", "works"))
    fact = f"{name} {verb} in {w.place()}."
    return fact, [f"Where does {name} {verb[:-1]}?"], fact


def _habit(w: Words) -> Fact:
    name, verb = w.name(), w.rng.choice(("likes", "eats", "sells", "wants", "reads"))
    fact = f"{name} {verb} {w.noun()}."
    return fact, [f"What does {name} {verb[:-1]}?"], fact


def _age(w: Words) -> Fact:
    name = w.name()
    fact = f"{name} is {w.rng.randint(1, 99)} years old."
    return fact, [f"How old is {name}?"], fact


def _hours(w: Words) -> Fact:
    noun, verb = w.noun(), w.rng.choice(("open", "close", "start"))
    fact = f"The {noun} {verb}s at {w.rng.randint(0, 23)}:{w.rng.choice(('00', '15', '30', '45'))}."
    return fact, [f"When does the {noun} {verb}?"], fact


def _site(w: Words) -> Fact:
    noun = w.noun()
    fact = f"The {noun} is in {w.place()}."
    return fact, [f"Where is the {noun}?"], fact


_FACTS = (_thing, _thing, _thing, _possession, _possession, _home, _habit, _age, _hours, _site)


def facts(w: Words, number: int) -> list[Fact]:
    """Different facts: the statement, ways to ask for it, the answer."""
    chosen: dict[str, Fact] = {}
    while len(chosen) < number:
        fact = w.rng.choice(_FACTS)(w)
        chosen.setdefault(fact[1][0], fact)
    return list(chosen.values())


def recall(w: Words, fact: Fact) -> Exchange:
    """A question whose answer stands in the system message."""
    return _say("fact", _lower_head(w, w.rng.choice(fact[1])), "The system message says it.", fact[2])


def recall_told(w: Words) -> Exchange:
    """Facts and a question in one user message."""
    known = facts(w, w.rng.randint(1, 2))
    told = " ".join(fact[0] for fact in known)
    fact = w.rng.choice(known)
    return _say("fact", f"{told} {w.rng.choice(fact[1])}", "The user told me.", fact[2])


_PERSONA = ("You are {}.", "You are {}, a helpful assistant.", "Your name is {}.", "You are called {}.")


def persona(w: Words) -> tuple[str, Exchange]:
    """A system sentence that names the model, and the question for it."""
    who = w.name() if w.chance(0.7) else f"{w.name()} the {w.adjective()} {w.noun()}"
    asked = w.rng.choice(("Who are you?", "What is your name?", "who are you?", "Tell me your name."))
    exchange = _say("fact", asked, "The system message says it.", f"I am {who}.")
    return w.rng.choice(_PERSONA).format(who), exchange
