"""Train the demo model on the CPU; stops at the end of the time budget and can be resumed.

python train.py --minutes 110 --out run
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from conversation import completion, last_step, messages_before_last, render
from data import Batch, draw_chat, round_of_batches
from model import Demo, Shape
from optimiser import Muon
from tokenizer import Tokenizer, learn_merges
from torch import Tensor
from torch.nn import functional
from words import Words, seeded

SEED = 2026
MERGES = 512
CHATS_PER_ROUND = 1024
WARMUP = 0.01  # of the whole training
AVERAGE = 0.998  # how much of the averaged weights survives a step


def learn_tokenizer() -> Tokenizer:
    """The tokenizer of 6,000 training chats."""
    words = Words(seeded(SEED), held_out=False)
    chats = [draw_chat(words, 0.49) for _ in range(6000)]
    texts = [render(messages_before_last(chat), chat.tools, True) + completion(last_step(chat), True) for chat in chats]
    return Tokenizer(learn_merges(texts, MERGES))


def rate(progress: float) -> float:
    """The learning rate's factor: a short warm-up, then straight down to almost nothing."""
    return min(1.0, progress / WARMUP + 0.05) * max(0.01, 1.0 - progress)


def loss_of(model: Demo, batch: Batch) -> Tensor:
    """Mean cross-entropy over the tokens that count, in nats."""
    tokens, counted = torch.from_numpy(batch.tokens), torch.from_numpy(batch.counted)
    hidden = model(tokens[:, :-1])[counted]
    return functional.cross_entropy(model.logits(hidden), tokens[:, 1:][counted])


class Trainer:
    """The model, its optimisers, the averaged weights and the place in the training."""

    def __init__(self, shape: Shape, seconds: float) -> None:
        torch.manual_seed(SEED)
        self.model = Demo(shape)
        matrices = [weight for name, weight in self.model.named_parameters() if weight.ndim == 2 and "embd" not in name]
        others = [weight for name, weight in self.model.named_parameters() if weight.ndim < 2 or "embd" in name]
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=0.02, momentum=0.95),
            torch.optim.AdamW(others, lr=0.004, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self.average = {name: weight.detach().clone() for name, weight in self.model.named_parameters()}
        self.seconds = seconds
        self.spent = 0.0
        self.steps = 0
        self.rounds = 0
        self._base = [group["lr"] for optimiser in self.optimisers for group in optimiser.param_groups]

    @property
    def progress(self) -> float:
        """The share of the time budget that is spent."""
        return min(1.0, self.spent / self.seconds)

    def step(self, batch: Batch) -> float:
        """One update; the loss before it."""
        started = time.monotonic()
        loss = loss_of(self.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        self._update()
        self.steps += 1
        self.spent += time.monotonic() - started
        return loss.item()

    def _update(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        groups = [group for optimiser in self.optimisers for group in optimiser.param_groups]
        for group, base in zip(groups, self._base, strict=True):
            group["lr"] = base * rate(self.progress)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        keep = min(AVERAGE, self.steps / (self.steps + 10))
        weights = [weight.detach() for weight in self.model.parameters()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - keep)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {
            "shape": asdict(self.model.shape),
            "model": self.model.state_dict(),
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "place": (self.spent, self.steps, self.rounds),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.spent, self.steps, self.rounds = state["place"]


def save(trainer: Trainer, path: Path) -> None:
    """Write the checkpoint so that a reader never sees half of it."""
    scratch = path.with_suffix(".part")
    torch.save(trainer.state(), scratch)
    scratch.replace(path)


class Feed:
    """Prepares the next round of batches in another process while this one trains."""

    def __init__(self, tokenizer: Tokenizer, budget: int) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self._tokenizer, self._budget = tokenizer, budget
        self._next: Future[list[Batch]] | None = None

    def take(self, number: int, progress: float) -> list[Batch]:
        """The batches of the round; starts on the round after it."""
        ready = self._next or self._order(number, progress)
        batches = ready.result()
        self._next = self._order(number + 1, progress)
        return batches

    def _order(self, number: int, progress: float) -> Future[list[Batch]]:
        return self._pool.submit(
            round_of_batches, self._tokenizer, SEED + number, progress, CHATS_PER_ROUND, self._budget
        )

    def close(self) -> None:
        """Stop the other process."""
        self._pool.shutdown(cancel_futures=True)


def train(trainer: Trainer, feed: Feed, out: Path, save_every: float) -> None:
    """Run to the end of the budget, reporting each round."""
    saved = time.monotonic()
    while trainer.progress < 1.0:
        losses = [
            trainer.step(batch) for batch in feed.take(trainer.rounds, trainer.progress) if trainer.progress < 1.0
        ]
        trainer.rounds += 1
        report(trainer, losses)
        if time.monotonic() - saved > save_every or trainer.progress >= 1.0:
            save(trainer, out / "checkpoint.pt")
            saved = time.monotonic()


def report(trainer: Trainer, losses: Iterable[float]) -> None:
    """One line of JSON about the round."""
    values = list(losses)
    mean = sum(values) / max(1, len(values))
    place = {"round": trainer.rounds, "step": trainer.steps, "minutes": round(trainer.spent / 60, 2)}
    print(json.dumps({**place, "loss": round(mean, 4), "progress": round(trainer.progress, 4)}), flush=True)


def prepared_tokenizer(out: Path) -> Tokenizer:
    """The run's tokenizer, learnt at its first start."""
    path = out / "tokenizer.json"
    if not path.exists():
        learn_tokenizer().save(path)
    return Tokenizer.load(path)


def main() -> None:
    """Parse the options, resume if there is a checkpoint, train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("run"), help="folder of tokenizer and checkpoint")
    parser.add_argument("--minutes", type=float, default=110, help="time budget of the whole training")
    parser.add_argument("--tokens", type=int, default=4096, help="tokens in a step, padding included")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-every", type=float, default=120, help="seconds between checkpoints")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer = prepared_tokenizer(options.out)
    trainer = Trainer(Shape(vocab=len(tokenizer.tokens)), 60 * options.minutes)
    if (options.out / "checkpoint.pt").exists():
        trainer.restore(torch.load(options.out / "checkpoint.pt", weights_only=True))
    feed = Feed(tokenizer, options.tokens)
    train(trainer, feed, options.out, options.save_every)
    feed.close()


if __name__ == "__main__":
    main()
