"""The comparison with llama-server: its statistics, its load generator against a small server, and its tables."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks.serve import tables
from benchmarks.serve.dialects import Counts, Dialect, LlamaServer, Ollama, OpenAI
from benchmarks.serve.figures import (
    Figures,
    Round,
    Spread,
    Usage,
    figures,
    gaps,
    kept,
    percentile,
    ratio,
    tokens_between,
)
from benchmarks.serve.load import Answer, Client, Pace, Window, run
from benchmarks.serve.proxy import LeastConnections
from benchmarks.serve.workload import Ask, Scenario, asks, random_texts

PACE = Pace(settle=0.0, seconds=0.2)
_OFTEN = 5000
USAGE = Usage(front_seconds=1.0, seconds=4.0, front_bytes=10, bytes=20)


def answer(sent: float, *arrivals: float, tokens: int = 0) -> Answer:
    return Answer(sent, list(arrivals), Counts(8, tokens) if tokens else None)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2.0), (0.75, 3.0), (0.95, 4.0), (1.0, 4.0), (0.0, 1.0)])
def test_a_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    assert percentile([3.0, 1.0, 4.0, 2.0], share) == expected


def test_there_is_no_percentile_of_nothing() -> None:
    assert math.isnan(percentile([], 0.5))


def test_only_what_came_in_the_window_counts() -> None:
    window = Window(0.0, 1.0, 3.0, [answer(0.0, 0.5, 1.0, 2.0, 3.0), answer(2.0, 2.5)])
    measured = figures(window, USAGE)
    assert measured.tokens_per_second == 3 / 2
    assert measured.first_p50 == 0.5
    assert measured.gap_p50 == 1.0
    assert measured.front_per_token == 1 / 5


def test_a_record_of_several_tokens_counts_as_many() -> None:
    window = Window(0.0, 0.0, 10.0, [answer(0.0, 1.0, 2.0, tokens=6), answer(0.0, 3.0)])
    assert tokens_between(window, 0.0, 10.0) == 9.0


def test_gaps_are_between_tokens_of_one_answer() -> None:
    window = Window(0.0, 0.0, 10.0, [answer(0.0, 1.0, 1.5), answer(0.0, 4.0, 6.0)])
    assert sorted(gaps(window)) == [0.5, 2.0]


def test_the_spread_leaves_out_what_was_not_measured() -> None:
    assert Spread.of([2.0, math.nan, 4.0]) == Spread(3.0, 2.0, 4.0)


def test_ratios_are_made_round_by_round() -> None:
    ours: list[Round] = [{"x": 2.0}, {"x": 9.0}, {"x": None}]
    theirs: list[Round] = [{"x": 1.0}, {"x": 3.0}, {"x": 1.0}]
    assert ratio(ours, theirs, "x") == Spread(2.5, 2.0, 3.0)


def test_what_was_not_measured_is_kept_as_null() -> None:
    assert kept(figures(Window(0.0, 0.0, 1.0, []), USAGE))["first_p50"] is None


def test_the_same_seed_asks_the_same() -> None:
    scenario = Scenario(name="x", prompt_words=(3, 5), shared_words=2)
    first, second, other = (list(itertools.islice(random_texts(scenario, seed), 4)) for seed in (1, 1, 2))
    assert first == second != other
    assert [len(text.split()) for text in first] == [5, 7, 5, 7]
    assert len({tuple(text.split()[:2]) for text in first + other}) == 1


@pytest.mark.parametrize(
    ("dialect", "record", "counts"),
    [
        (Ollama(), b'{"done":true,"prompt_eval_count":3,"eval_count":4}', Counts(3, 4)),
        (Ollama(), b'{"response":"a","done":false}', None),
        (LlamaServer(), b'data: {"stop":true,"tokens_evaluated":3,"tokens_predicted":4}', Counts(3, 4)),
        (LlamaServer(), b'data: {"content":"a","stop":false}', None),
        (OpenAI(), b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}', Counts(3, 4)),
        (OpenAI(), b'data: {"choices":[{"text":"a"}]}', None),
    ],
)
def test_the_last_record_has_the_counts(dialect: Dialect, record: bytes, counts: Counts | None) -> None:
    assert dialect.counts(record) == counts


@pytest.mark.parametrize("dialect", [Ollama(), LlamaServer()])
def test_both_servers_are_asked_to_sample_alike(dialect: Dialect) -> None:
    request = json.loads(dialect.body(Ask(prompt="a", tokens=5, sampled=True, seed=7, schema={"type": "object"})))
    settings = request.get("options", request)
    assert [settings[name] for name in ("temperature", "top_k", "top_p", "min_p", "seed")] == [0.8, 40, 0.9, 0.0, 7]
    assert {"type": "object"} in (request.get("format"), request.get("json_schema"))


class Echo:
    """Answers each request with as many records as it asks for, in Ollama's dialect."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.running = 0
        self.most = 0
        self.asked: list[int] = []

    async def generate(self, request: web.Request) -> web.StreamResponse:
        count = (await request.json())["options"]["num_predict"]
        self.asked.append(count)
        self.running += 1
        self.most = max(self.most, self.running)
        response = web.StreamResponse(status=self.status)
        try:
            await response.prepare(request)
            for _ in range(count):
                await response.write(b'{"response":"a","done":false}\n')
                await asyncio.sleep(0)
            await response.write(b'{"done":true,"prompt_eval_count":1,"eval_count":%d}\n' % count)
        finally:
            self.running -= 1
        return response


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, str]]:
    service = Echo()
    async with served({"/api/generate": service.generate}) as server:
        yield service, str(server.make_url("")).rstrip("/")


def served(handlers: Mapping[str, Any]) -> TestServer:
    app = web.Application()
    for path, handler in handlers.items():
        app.router.add_post(path, handler)
    return TestServer(app)


async def load(url: str, scenario: Scenario) -> Window:
    async with aiohttp.ClientSession() as session:
        requests = asks(scenario, random_texts(scenario, 0))
        return await run(Client(session, url, Ollama()), scenario, requests, PACE)


class OneIsLate:
    """Answers at once, but the first request only after many others, so that the load has looked meanwhile."""

    def __init__(self) -> None:
        self.asked = 0
        self._often = asyncio.Event()

    async def ask(self, ask: Ask, answer: Answer) -> None:
        self.asked += 1
        if self.asked == 1:
            await self._often.wait()
        elif self.asked > _OFTEN:
            self._often.set()
        await asyncio.sleep(0)
        answer.arrivals.append(time.monotonic())


async def test_counting_begins_when_every_client_has_had_a_token() -> None:
    scenario = Scenario(name="x", clients=3, answer_tokens=9)
    window = await run(OneIsLate(), scenario, asks(scenario, random_texts(scenario, 0)), PACE)
    assert window.begin >= window.answers[0].arrivals[0]


async def test_a_closed_loop_keeps_as_many_requests_open_as_it_has_clients(echo: tuple[Echo, str]) -> None:
    service, url = echo
    window = await load(url, Scenario(name="x", clients=3, answer_tokens=9))
    whole = [answer for answer in window.answers if answer.counts]
    assert service.most == 3
    assert sorted(service.asked[:3]) == [3, 6, 9]
    assert len(whole) > 3
    assert all(len(answer.arrivals) == answer.counts.tokens for answer in whole if answer.counts)


async def test_an_open_loop_asks_whatever_the_answers_take(echo: tuple[Echo, str]) -> None:
    service, url = echo
    window = await load(url, Scenario(name="x", clients=1, answer_tokens=1, rate=200.0))
    assert len(service.asked) > 1
    assert all(answer.arrivals for answer in window.answers if answer.counts)


async def test_a_refused_request_ends_the_measurement() -> None:
    service = Echo(status=500)
    async with served({"/api/generate": service.generate}) as server:
        with pytest.raises(aiohttp.ClientPayloadError, match="500"):
            await load(str(server.make_url("")).rstrip("/"), Scenario(name="x", clients=2))


async def test_the_proxy_asks_the_server_with_the_fewest_open_answers() -> None:
    hold, hits = asyncio.Event(), {"a": 0, "b": 0}

    def member(name: str) -> TestServer:
        async def answer(_: web.Request) -> web.Response:
            hits[name] += 1
            await hold.wait()
            return web.Response(text=name)

        return served({"/x": answer})

    async with member("a") as a, member("b") as b, aiohttp.ClientSession() as session:
        urls = [str(server.make_url("")).rstrip("/") for server in (a, b)]
        async with served({"/x": LeastConnections(session, urls).forward}) as front:
            tasks = [asyncio.create_task(_text(session, str(front.make_url("/x")))) for _ in range(4)]
            while sum(hits.values()) < 4:
                await asyncio.sleep(0)
            hold.set()
            texts = await asyncio.gather(*tasks)
    assert hits == {"a": 2, "b": 2}
    assert sorted(texts) == ["a", "a", "b", "b"]


async def _text(session: aiohttp.ClientSession, url: str) -> str:
    async with session.post(url) as response:
        return await response.text()


def results() -> dict[str, Any]:
    window = Window(0.0, 0.0, 1.0, [answer(0.0, 0.25, 0.5, tokens=2)])
    slow, quick = kept(figures(window, USAGE)), kept(figures(Window(0.0, 0.0, 0.5, window.answers), USAGE))
    servers: Mapping[str, Sequence[Any]] = {"pollama": [quick, quick], "llama-server": [slow, slow]}
    record = {"model": "60m", "clients": 4, "load": "short", "servers": servers}
    front = {**record, "servers": {"pollama": [slow], "engine": [quick]}}
    start = {"model": "60m", "cold": {"llama-server": [2.0], "pollama": [3.0], "pollama, server running": [1.0]}}
    facts = {"head at rest": 90e6, "pollama --version": 0.25}
    conditions = {
        "processor": "P", "cores": 2, "load average before": 0.5, "date": "2026-01-01", "threads": 2, "rounds": 2,
        "seconds": 4.0,
    }  # fmt: skip
    records = {"same": record, "defaults": record, "busy": record, "front": front, "start": start | facts}
    return {part: {"conditions": conditions, "records": [record]} for part, record in records.items()}


def test_the_tables_have_medians_and_ratios() -> None:
    text = tables.document(results())
    assert "| 60m | 4 | short | 2 / 2 | 1.00 (1.00 to 1.00) |" in text
    assert "| 60m | 4 | 2 | 2 | 1.00 (1.00 to 1.00) |" in text
    assert "| 60m | 2.00 | 3.00 | 1.50 (1.50 to 1.50) | 1.00 | 0.50 (0.50 to 0.50) |" in text
    assert "| head at rest | 90 MB |" in text
    assert "| pollama --version | 0.25 s |" in text


def test_figures_that_were_not_measured_are_dashes() -> None:
    lacking = results()
    for rounds in lacking["same"]["records"][0]["servers"].values():
        rounds[:] = [values | dict.fromkeys(values, None) for values in rounds]
    assert "| – / – | – (– to –) |" in tables.document({"same": lacking["same"]})


def test_a_page_has_the_tables_between_its_marks() -> None:
    page = f"before\n{tables.BEGIN}old\n{tables.END}\nafter\n"
    new = tables.inserted(page, "new\n")
    assert new == f"before\n{tables.BEGIN}\nnew\n\n{tables.END}\nafter\n"
    assert tables.inserted(new, "new\n") == new


def test_a_page_without_marks_stays_as_it_is() -> None:
    assert tables.inserted("text\n", "new\n") == "text\n"


def test_the_plot_has_both_servers(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="only `make bench` installs it")
    from benchmarks.serve.plot import write_plot

    path = tmp_path / "plot.svg"
    write_plot(results(), path)
    assert path.read_text(encoding="utf-8").count("<svg") == 1


def test_all_figures_have_a_name_in_the_records() -> None:
    names = set(Figures.__dataclass_fields__)
    assert names == set(results()["same"]["records"][0]["servers"]["pollama"][0])
