"""The parts of the benchmark. Each returns records: what was compared, with the figures of every round."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

import psutil

from benchmarks.serve import startup
from benchmarks.serve.load import Pace
from benchmarks.serve.matrix import CONTEXT, SUBJECTS, Subject, scenarios
from benchmarks.serve.measure import compare, measure
from benchmarks.serve.neighbour import busy_core
from benchmarks.serve.servers import Server, Setting, free_port, llama_server, pollama, started, until_ready
from benchmarks.serve.workload import Scenario
from pollama.runners.spare import runner_environment

_DEFAULT_CLIENTS: Final = 16
Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the command line chose."""

    program: Path
    folder: Path
    models: Sequence[str]
    clients: Sequence[int]
    kinds: Sequence[str]
    threads: int
    pace: Pace
    rounds: int
    rate: float
    log: IO[bytes]

    def setting(self, subject: Subject, slots: int) -> Setting:
        """Return equal conditions for both servers."""
        file = subject.file(self.folder)
        return Setting(model=file, slots=slots, context=CONTEXT, threads=self.threads)

    def store(self, subject: Subject) -> Path:
        """Return the folder of pollama's models."""
        folder = self.folder / f"store-{subject.name}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def subjects(self, *names: str) -> Iterator[Subject]:
        """Return the chosen models, of ``names`` only if there are any."""
        return (SUBJECTS[name] for name in self.models if name in (names or SUBJECTS))


def record(subject: Subject, scenario: Scenario, servers: Mapping[str, Any]) -> Record:
    """Return what was measured as it is kept."""
    return {"model": subject.name, "clients": scenario.clients, "load": scenario.name, "servers": servers}


def tell(text: str) -> None:
    """Say on standard error what is going on: a run takes minutes."""
    print(text, file=sys.stderr, flush=True)


@asynccontextmanager
async def both(bench: Bench, subject: Subject, setting: Setting) -> AsyncIterator[list[Server]]:
    """Run pollama and llama-server with the same setting."""
    async with (
        pollama(setting, bench.store(subject), bench.log) as ours,
        llama_server(bench.program, setting, bench.log) as theirs,
    ):
        yield [ours, theirs]


async def same(bench: Bench) -> list[Record]:
    """Same threads, context, slots and model: only the server differs."""
    records = []
    for subject in bench.subjects():
        for clients in bench.clients:
            async with both(bench, subject, bench.setting(subject, clients)) as servers:
                for scenario in scenarios(subject.name, clients, bench.rate):
                    if bench.kinds and scenario.name not in bench.kinds:
                        continue
                    tell(f"{subject.name}, {clients} clients, {scenario.name}")
                    rounds = await compare(servers, scenario, subject.texts, bench.pace, bench.rounds)
                    records.append(record(subject, scenario, rounds))
    return records


def _untold(bench: Bench, subject: Subject, threads: int = 0) -> Setting:
    """Return no setting at all: the servers decide."""
    return Setting(model=subject.file(bench.folder), threads=threads)


async def defaults(bench: Bench) -> list[Record]:
    """As users start them: no option given, 16 clients; and one llama-server per core behind a proxy."""
    records = []
    for subject in bench.subjects("60m", "250m"):
        scenario = replace(scenarios(subject.name, _DEFAULT_CLIENTS, 0)[0], name="defaults")
        tell(f"{subject.name}, defaults")
        async with both(bench, subject, _untold(bench, subject)) as servers, _cluster(bench, subject) as behind:
            rounds = await compare([*servers, behind], scenario, subject.texts, bench.pace, bench.rounds)
        records.append(record(subject, scenario, rounds))
    return records


@asynccontextmanager
async def _cluster(bench: Bench, subject: Subject) -> AsyncIterator[Server]:
    """Run one llama-server per core, each with one thread, behind the proxy."""
    cores = sorted(os.sched_getaffinity(0))
    async with AsyncExitStack() as stack:
        alone = _untold(bench, subject, threads=1)
        members = [
            await stack.enter_async_context(llama_server(bench.program, alone, bench.log, cores=str(core)))
            for core in cores
        ]
        url = f"http://127.0.0.1:{(port := free_port())}"
        command = [sys.executable, "-m", "benchmarks.serve.proxy", str(port), *(member.url for member in members)]
        process = await stack.enter_async_context(started(command, {}, bench.log))
        await until_ready(f"{url}/health", process)
        processes = (psutil.Process(process.pid), *(part for member in members for part in member.processes))
        yield Server(f"{len(cores)} llama-servers behind a proxy", url, members[0].dialect, processes)


async def busy(bench: Bench) -> list[Record]:
    """Defaults, while another program keeps one core busy."""
    records = []
    for subject in bench.subjects("60m"):
        for clients in (1, 4, _DEFAULT_CLIENTS):
            scenario = replace(scenarios(subject.name, clients, 0)[0], name="busy neighbour")
            tell(f"{subject.name}, {clients} clients, busy neighbour")
            async with both(bench, subject, _untold(bench, subject)) as servers:
                with busy_core():
                    rounds = await compare(servers, scenario, subject.texts, bench.pace, bench.rounds)
            records.append(record(subject, scenario, rounds))
    return records


async def front(bench: Bench) -> list[Record]:
    """What HTTP costs: pollama over HTTP against its engine in a process of its own, 16 clients."""
    records = []
    for subject in bench.subjects("60m", "250m"):
        scenario = replace(scenarios(subject.name, _DEFAULT_CLIENTS, 0)[0], name="HTTP against the bare engine")
        tell(f"{subject.name}, HTTP against the bare engine")
        setting = bench.setting(subject, _DEFAULT_CLIENTS)
        async with (
            pollama(setting, bench.store(subject), bench.log) as ours,
            _engine(bench, setting, scenario) as ask_engine,
        ):
            rounds: dict[str, list[Any]] = {"pollama": [], "engine": []}
            for number in range(bench.rounds + 1):  # the first one warms up
                figures = await measure(ours, scenario, subject.texts(scenario, number), bench.pace)
                rounds["pollama"].append({"tokens_per_second": figures.tokens_per_second})
                rounds["engine"].append(await ask_engine(number))
        records.append(record(subject, scenario, {name: values[1:] for name, values in rounds.items()}))
    return records


@asynccontextmanager
async def _engine(
    bench: Bench, setting: Setting, scenario: Scenario
) -> AsyncIterator[Callable[[int], Coroutine[None, None, Record]]]:
    """Run the bare engine in a child process; yields a function that measures it once, with a seed."""
    options = {
        "clients": scenario.clients,
        "tokens": scenario.answer_tokens,
        "threads": setting.threads,
        "context": setting.context,
        "settle": bench.pace.settle,
        "seconds": bench.pace.seconds,
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "benchmarks.serve.inprocess", str(setting.model), *arguments]
    pipe = asyncio.subprocess.PIPE
    async with started(command, runner_environment(os.environ), bench.log, stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        to_engine, from_engine = process.stdin, process.stdout

        async def ask(seed: int) -> Record:
            to_engine.write(f"{seed}\n".encode())
            answer: Record = json.loads(await from_engine.readline())
            return answer

        yield ask
        to_engine.close()
        with contextlib.suppress(ConnectionError):
            await to_engine.wait_closed()
        await process.wait()


async def start(bench: Bench) -> list[Record]:
    """Cold starts to the first token, quick commands, and memory at rest."""
    records: list[Record] = []
    for subject in bench.subjects():
        tell(f"{subject.name}, starts")
        setting, store = bench.setting(subject, 1), bench.store(subject)
        cold = await startup.starts(bench.program, setting, store, bench.log, bench.rounds)
        records.append({"model": subject.name, "cold": cold})
    subject = next(bench.subjects())
    records[0] |= await startup.at_rest(bench.setting(subject, 1), bench.store(subject), bench.log, bench.rounds)
    return records


PARTS: Final[Mapping[str, Callable[[Bench], Coroutine[None, None, list[Record]]]]] = {
    "same": same,
    "defaults": defaults,
    "busy": busy,
    "front": front,
    "start": start,
}
