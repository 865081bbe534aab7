"""Tools and the questions that need them: the right tool, arguments copied, the result used."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from conversation import Exchange, Json, Step, user
from words import Words

Ask = Callable[[Words], tuple[str, Json]]


@dataclass
class Tool:
    """A declared tool and a way to draw questions for it, each with the arguments it asks for."""

    topic: str
    declared: Json
    ask: Ask

    @property
    def name(self) -> str:
        """The name to call it by."""
        return str(self.declared["function"]["name"])


def _declare(name: str, description: str, kinds: dict[str, str], optional: dict[str, str] | None = None) -> Json:
    """The tool in OpenAI form; kinds maps argument names to JSON schema types."""
    schema = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in {**kinds, **(optional or {})}.items()},
        "required": list(kinds),
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def _named(w: Words, verb: str, noun: str) -> str:
    """A function name in one of the usual styles."""
    draw = w.rng.random()
    if draw < 0.08:
        return verb + noun.capitalize()
    if draw < 0.14:
        return f"{noun}_{verb}"
    if draw < 0.2:
        return f"{verb}-{noun}"
    if draw < 0.3:
        return f"{verb}_{w.rng.choice(('current', 'the', 'new', 'my'))}_{noun}"
    return f"{verb}_{noun}"


def _describe(w: Words, *texts: str) -> str:
    """One of the descriptions, now and then none or with more words."""
    if w.chance(0.08):
        return ""
    return w.rng.choice(texts) + (f" {w.sentence()}" if w.chance(0.08) else "")


_KEYS = (
    *("city", "location", "place", "name", "person", "country", "item", "product", "id", "word", "query", "user"),
    *("title", "symbol", "path", "topic", "text", "value", "target", "key"),
)
_LOOKUPS = ("get", "get", "get", "find", "fetch", "lookup", "search", "check", "show", "read")
_LOOKUP_ASKS = (
    *("What is the {} {} {}?", "Get the {} {} {}.", "Show me the {} {} {}.", "Find the {} {} {}."),
    *("Can you tell me the {} {} {}?", "What's the {} {} {}?", "Check the {} {} {}.", "I need the {} {} {}."),
)


def _subject(w: Words) -> str:
    """What a lookup is about: mostly a name or a place, also any value."""
    draw = w.rng.random()
    if draw < 0.08:
        return f"{w.place()}{w.rng.choice((' ', ', '))}{w.place()}"
    return w.place() if draw < 0.4 else w.name() if draw < 0.6 else w.value()


def _number(w: Words) -> str:
    """One of JSON schema's types for a whole number."""
    return w.rng.choice(("integer", "integer", "number"))


def _politely(w: Words, question: str) -> str:
    """The question, now and then with a word more at its end."""
    if w.chance(0.85):
        return question
    return question[:-1] + w.rng.choice((" right now", " today", ", please", " now", " please")) + question[-1]


def lookup(w: Words, noun: str) -> Tool:
    """A tool with one text argument: get_price(product)."""
    verb, key = w.rng.choice(_LOOKUPS), w.noun() if w.chance(0.3) else w.rng.choice(_KEYS)
    optional = {w.rng.choice(("unit", "language", "format", "limit")): "string"} if w.chance(0.15) else None
    description = _describe(
        w, f"Get the {noun} for a {key}.", f"{verb.capitalize()} the {noun}.", f"Returns the {noun}"
    )

    def ask(w: Words) -> tuple[str, Json]:
        value, thing = _subject(w), f"current {noun}" if w.chance(0.08) else noun
        question = w.rng.choice(_LOOKUP_ASKS).format(thing, w.rng.choice(("in", "of", "for")), value)
        return _politely(w, question), {key: value}

    return Tool(noun, _declare(_named(w, verb, noun), description, {key: "string"}, optional), ask)


def act_on_pair(w: Words, noun: str) -> Tool:
    """A tool with two named arguments given in either order: create_event(title, place)."""
    verb = w.rng.choice(("create", "add", "make", "update", "send", "book"))
    first, second = w.rng.sample([key for key in _KEYS if key != noun], 2)
    kinds = {first: "string", second: _number(w) if w.chance(0.3) else "string"}
    does = f"{verb.capitalize()} a {noun}"
    description = _describe(w, f"{does}.", f"{does} with a {first} and a {second}.")

    def ask(w: Words) -> tuple[str, Json]:
        values = {key: _subject(w) if kind == "string" else w.number(4) for key, kind in kinds.items()}
        parts = [f"{key} {value}" for key, value in values.items()]
        if w.chance(0.3):
            parts.reverse()
        return f"{does} with {parts[0]} and {parts[1]}.", values

    return Tool(noun, _declare(_named(w, verb, noun), description, kinds), ask)


_ROUTES = (("from", "to"), ("source", "target"), ("origin", "destination"), ("start", "end"), ("from_city", "to_city"))


def route(w: Words, noun: str) -> Tool:
    """A tool with a start and an end: find_train(from, to)."""
    verb, (start, end) = w.rng.choice(("find", "book", "get", "search")), w.rng.choice(_ROUTES)
    does = f"{verb.capitalize()} a {noun}"
    description = _describe(w, f"{does} from one place to another.", f"{does}.")

    def ask(w: Words) -> tuple[str, Json]:
        here, there = w.place(), w.place()
        return f"{does} from {here} to {there}.", {start: here, end: there}

    return Tool(noun, _declare(_named(w, verb, noun), description, {start: "string", end: "string"}), ask)


def set_number(w: Words, noun: str) -> Tool:
    """A tool with one whole number: set_volume(level)."""
    verb = w.rng.choice(("set", "change", "set"))
    key = w.rng.choice(("value", "level", "amount", "number", "minutes", noun))
    description = _describe(w, f"Set the {noun}.", f"Changes the {noun} to a {key}.")

    def ask(w: Words) -> tuple[str, Json]:
        value = w.number(4)
        return f"{w.rng.choice(('Set', 'Change', 'Please set'))} the {noun} to {value}.", {key: value}

    return Tool(noun, _declare(_named(w, verb, noun), description, {key: _number(w)}), ask)


def order(w: Words, noun: str) -> Tool:
    """A tool with a count and a thing: order_food(item, quantity)."""
    item = w.rng.choice(("item", "product", "thing", "name"))
    amount = w.rng.choice(("quantity", "count", "amount", "number"))
    verb = w.rng.choice(("order", "buy", "add", "get"))
    does = verb.capitalize()
    description = _describe(w, f"{does} from the {noun}.", f"{does} something from the {noun}.")

    def ask(w: Words) -> tuple[str, Json]:
        number, thing = w.number(2), w.noun()
        return f"{does} {number} {thing} from the {noun}.", {item: thing, amount: number}

    return Tool(noun, _declare(_named(w, verb, noun), description, {item: "string", amount: _number(w)}), ask)


_SUMS = (
    ("add", "Add two numbers.", ("Add {a} and {b}.", "What is {a} plus {b}?", "What is {a} + {b}?")),
    ("multiply", "Multiply two numbers.", ("Multiply {a} and {b}.", "What is {a} times {b}?", "What is {a} * {b}?")),
    ("subtract", "Subtract two numbers.", ("What is {a} minus {b}?", "What is {a} - {b}?")),
    ("divide", "Divide two numbers.", ("Divide {a} by {b}.", "What is {a} divided by {b}?")),
)


def calculate(w: Words, _noun: str) -> Tool:
    """A tool with two numbers: add(a, b)."""
    verb, description, forms = w.rng.choice(_SUMS)
    first, second = w.rng.choice((("a", "b"), ("x", "y"), ("first", "second"), ("a", "b")))
    name = w.rng.choice((verb, f"{verb}_numbers", f"{verb}_two_numbers", verb))

    def ask(w: Words) -> tuple[str, Json]:
        a, b = w.number(4), w.number(4)
        return w.rng.choice(forms).format(a=a, b=b), {first: a, second: b}

    kind = _number(w)
    return Tool(verb, _declare(name, _describe(w, description), {first: kind, second: kind}), ask)


def command(w: Words, noun: str) -> Tool:
    """A tool without arguments: restart_server()."""
    verb = w.rng.choice(("restart", "stop", "start", "list", "open", "close", "reset", "get"))

    def ask(w: Words) -> tuple[str, Json]:
        return f"{w.rng.choice(('', 'Please '))}{verb} the {noun}.".capitalize(), {}

    return Tool(noun, _declare(_named(w, verb, noun), _describe(w, f"{verb.capitalize()} the {noun}."), {}), ask)


def switch(w: Words, noun: str) -> Tool:
    """A tool with a truth value: switch_lamp(on)."""
    verb, key = w.rng.choice(("turn", "switch", "set")), w.rng.choice(("on", "enabled", "state"))
    description = _describe(w, f"Turn the {noun} on or off.")

    def ask(w: Words) -> tuple[str, Json]:
        on = w.chance(0.5)
        form = w.rng.choice(("Turn the {0} {1}.", "Turn {1} the {0}.", "Switch {1} the {0}."))
        return form.format(noun, "on" if on else "off"), {key: on}

    return Tool(noun, _declare(_named(w, verb, noun), description, {key: "boolean"}), ask)


_WEATHER_ASKS = (
    *("What is the weather in {}?", "What's the weather like in {}?", "How is the weather in {}?", "weather in {}"),
    *("What is the weather today in {}?", "What is the current weather in {}?", "Is it raining in {}?"),
    *("What is the weather like in {}?", "Tell me the weather in {}."),
)


def weather(w: Words, _noun: str) -> Tool:
    """The tool that everyone tries first, with a wanted unit now and then."""
    key, unit = w.rng.choice(("city", "location", "city", "place")), w.rng.choice(("format", "unit"))
    name = w.rng.choice(("get_weather", "get_current_weather", "weather", "getWeather", "get_weather"))
    about = w.rng.choice(("Get the weather for a city", "Get the current weather for a location.", "Get the weather."))
    has_unit, wants_unit = w.chance(0.4), w.chance(0.5)

    def ask(w: Words) -> tuple[str, Json]:
        place, question = w.place(), w.rng.choice(_WEATHER_ASKS)
        if not (has_unit and wants_unit):
            return question.format(place), {key: place}
        scale = w.rng.choice(("", "celsius", "fahrenheit"))
        place_and_scale = f"{place} in {scale}" if scale else place
        return question.format(place_and_scale), {key: place, unit: scale or "celsius"}

    unit_kind = {unit: "string"} if has_unit else {}
    kinds = {key: "string", **(unit_kind if wants_unit else {})}
    return Tool("weather", _declare(name, about, kinds, {} if wants_unit else unit_kind), ask)


_KINDS = (
    *(lookup, lookup, lookup, lookup, act_on_pair, act_on_pair, route, set_number, order, calculate, command),
    *(switch, weather),
)


def toolbox(w: Words, number: int, easy: bool = False) -> list[Tool]:
    """Tools about different topics, in any order; the easy ones have one text argument."""
    chosen: dict[str, Tool] = {}
    while len(chosen) < number:
        tool = (lookup if easy else w.rng.choice(_KINDS))(w, w.noun())
        if all(other.name != tool.name for other in chosen.values()):
            chosen.setdefault(tool.topic, tool)
    return list(chosen.values())


def _result(w: Words) -> str:
    """What a tool returns: words, a number, or a little JSON."""
    draw = w.rng.random()
    if draw < 0.2:
        return f"{w.number(2)} degrees and {w.adjective()}"
    if draw < 0.35:
        return str(w.number(5))
    if draw < 0.5:
        return json.dumps({w.noun(): w.number(3), w.noun(): w.word()}, ensure_ascii=False)
    if draw < 0.6:
        return json.dumps({"result": w.value()}, ensure_ascii=False)
    return w.sentence() if draw < 0.7 else w.words(1, 6)


def use(w: Words, tool: Tool, with_result: bool) -> Exchange:
    """A question for the tool, its call and, if wanted, its result and the answer."""
    question, arguments = tool.ask(w)
    steps = [Step([user(question)], f"I call {tool.name}.", calls=[{"name": tool.name, "arguments": arguments}])]
    if with_result:
        result = _result(w)
        said = {"role": "tool", "tool_name": tool.name, "content": result}
        steps.append(Step([said], "I use the result.", f"The result is {result}"))
    return Exchange("result" if with_result else "tool", steps)
