"""Measure the exported model in llama.cpp: greedy answers to held-out questions, exact or wrong.

python evaluate.py --model demo.gguf --instances 200
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import talk
from conversation import Chat, Exchange, Step, completion, last_step, messages_before_last, render, user
from llama_cpp import Llama
from toolbox import toolbox, use
from words import Words, seeded

SEED = 7
SPARE = 40  # tokens an answer may be longer than the wanted one (its thought, above all) before it is cut off


def repeat_alien(w: Words) -> Chat:
    """One word in letters that English does not have."""
    word = w.alien()
    return Chat("", [], [Exchange("repeat", [Step([user(f"Repeat: {word}")], "I repeat the text.", word)])])


def fact_chat(w: Words) -> Chat:
    """One to five facts in the system message and a question for one, or a persona."""
    known = talk.facts(w, w.rng.randint(1, 5))
    if w.chance(0.1):
        line, exchange = talk.persona(w)
        return Chat(" ".join([line, *(fact[0] for fact in known)]), [], [exchange])
    return Chat(" ".join(fact[0] for fact in known), [], [talk.recall(w, w.rng.choice(known))])


def tool_chat(w: Words, with_result: bool = False) -> Chat:
    """One to three tools and a question for one of them."""
    tools = toolbox(w, w.rng.randint(1, 3))
    exchange = use(w, w.rng.choice(tools), with_result)
    return Chat("", [tool.declared for tool in tools], [exchange])


def later_turn(w: Words) -> Chat:
    """A question that follows two others about other things."""
    last = w.rng.choice((fact_chat, tool_chat))(w)
    last.exchanges[:0] = [talk.repeat(w), talk.count(w)]
    return last


SKILLS: dict[str, Callable[[Words], Chat]] = {
    "greet and say what it is": lambda w: Chat("", [], [talk.greet(w)]),
    "count from a to b": lambda w: Chat("", [], [talk.count(w)]),
    "repeat a word or a sentence": lambda w: Chat("", [], [talk.repeat(w)]),
    "repeat a word in another script": repeat_alien,
    "answer from a fact in the system message": fact_chat,
    "call the right tool with the right arguments": tool_chat,
    "use a tool's result": lambda w: tool_chat(w, with_result=True),
    "remember the user's name": lambda w: Chat("", [], talk.remember(w)),
    "write given values as JSON": lambda w: Chat("", [], [talk.write_json(w)]),
    "admit that it does not know": lambda w: Chat("", [], [talk.unknown(w)]),
    "a fact or a tool in a later turn": later_turn,
}


@dataclass
class Outcome:
    """One instance: the prompt, what was wanted, what came."""

    skill: str
    thinking: bool
    prompt: str
    wanted: str
    got: str

    @property
    def exact(self) -> bool:
        """The visible answer is exact and the thought, if wanted, is there and closed."""
        return self.thought_fits and self.answer == self.wanted

    @property
    def thought_fits(self) -> bool:
        """A thought is there exactly if thinking is on."""
        return self.got.startswith("<think>\n") == self.thinking and ("</think>" in self.got) == self.thinking

    @property
    def answer(self) -> str:
        """What follows the thought."""
        return self.got.split("</think>")[-1].lstrip("\n")


def instances(skill: str, number: int) -> Iterator[Chat]:
    """Different held-out chats of a skill."""
    words = Words(seeded(f"{SEED} {skill}"), held_out=True)
    seen: set[str] = set()
    while len(seen) < number:
        chat = SKILLS[skill](words)
        key = render(messages_before_last(chat), chat.tools, False)
        if key not in seen:
            seen.add(key)
            yield chat


def greedy(model: Llama, prompt: str, most: int) -> str:
    """The model's completion at temperature 0, up to the end of its turn or `most` tokens."""
    tokens = model.tokenize(prompt.encode("utf-8"), add_bos=False, special=True)
    written: list[int] = []
    for token in model.generate(tokens, temp=0.0, top_k=1, repeat_penalty=1.0):
        if token == model.token_eos() or len(written) >= most:
            break
        written.append(token)
    return model.detokenize(written, prev_tokens=tokens).decode("utf-8", "replace")


@dataclass(frozen=True)
class Job:
    """A skill to measure in one mode."""

    path: Path
    skill: str
    thinking: bool
    number: int


def measure(job: Job) -> list[Outcome]:
    """The outcomes of the skill's instances; one thread, so that jobs can run beside each other."""
    model = Llama(str(job.path), n_ctx=2048, n_threads=1, n_threads_batch=1, verbose=False)
    return [_outcome(model, job, chat) for chat in instances(job.skill, job.number)]


def _outcome(model: Llama, job: Job, chat: Chat) -> Outcome:
    prompt = render(messages_before_last(chat), chat.tools, job.thinking)
    wanted = completion(last_step(chat), thinking=False)
    most = SPARE + len(model.tokenize(wanted.encode("utf-8"), add_bos=False, special=True))
    return Outcome(job.skill, job.thinking, prompt, wanted, greedy(model, prompt, most))


def table(outcomes: list[Outcome]) -> str:
    """A Markdown table: exact answers per skill and mode."""
    lines = ["| skill | thinking off | thinking on |", "| --- | --- | --- |"]
    exact = Counter((outcome.skill, outcome.thinking) for outcome in outcomes if outcome.exact)
    total = Counter((outcome.skill, outcome.thinking) for outcome in outcomes)
    for skill in dict.fromkeys(outcome.skill for outcome in outcomes):
        cells = [_share(exact[skill, mode], total[skill, mode]) for mode in (False, True)]
        lines.append(f"| {skill} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def _share(exact: int, total: int) -> str:
    return f"{exact} of {total} ({100 * exact / total:.1f} %)" if total else "not measured"


def show_misses(outcomes: list[Outcome], most: int) -> None:
    """Print some misses of each skill and mode."""
    shown: Counter[tuple[str, bool]] = Counter()
    for outcome in outcomes:
        key = (outcome.skill, outcome.thinking)
        if not outcome.exact and shown[key] < most:
            shown[key] += 1
            print(json.dumps(vars(outcome), ensure_ascii=False))


def main() -> None:
    """Parse the options, measure, print the table."""
    parser = argparse.ArgumentParser(description="Measure the exported model on held-out questions.")
    parser.add_argument("--model", type=Path, default=Path("demo.gguf"))
    parser.add_argument("--instances", type=int, default=200, help="per skill and mode")
    parser.add_argument("--misses", type=int, default=0, help="wrong answers to show per skill and mode")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    jobs = [Job(options.model, skill, mode, options.instances) for skill in SKILLS for mode in (False, True)]
    with ProcessPoolExecutor(options.processes) as pool:
        outcomes = [outcome for result in pool.map(measure, jobs) for outcome in result]
    show_misses(outcomes, options.misses)
    print(table(outcomes))


if __name__ == "__main__":
    main()
