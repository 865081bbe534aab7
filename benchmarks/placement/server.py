"""A real server over two CPU devices, asked over HTTP to serve a model in one layout after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

import aiohttp
import msgspec

from benchmarks.placement.cells import Layout
from benchmarks.serve.dialects import MODEL, Ollama
from benchmarks.serve.figures import tokens_between
from benchmarks.serve.load import Client, Pace, run
from benchmarks.serve.servers import POLLAMA, free_port, started, until_ready
from benchmarks.serve.workload import Ask, Scenario, asks, random_texts

CONTEXT: Final = 512
PROMPT_WORDS: Final = 16
PROMPT_TOKENS: Final = 2 * PROMPT_WORDS
ANSWER_TOKENS: Final = 48
_WARM_UP: Final = Pace(settle=0.3, seconds=0.3)
_POLL_SECONDS: Final = 0.05
_PATIENCE: Final = 60.0
Record = Mapping[str, Any]


class Wishing(Ollama):
    """``/api/generate`` with a wish how the model shall be served."""

    def __init__(self, wish: Mapping[str, Any]) -> None:
        self._wish = wish

    def body(self, ask: Ask) -> bytes:
        """Return the request."""
        return msgspec.json.encode(msgspec.json.decode(super().body(ask)) | {"multi_gpu": self._wish})


class Served:
    """The server, as the experiments use it."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer to a request that must succeed. Raises aiohttp.ClientPayloadError with the refusal."""
        async with self._session.request(method, self._url + path, json=body) as answer:
            if answer.status != 200:
                raise aiohttp.ClientPayloadError(f"{path}: {answer.status} {await answer.text()}")
            return await answer.json()

    async def topology(self) -> Record:
        """Return the devices and links, once all of them have been measured."""
        return await self._once("/api/multigpu/topology", _is_measured)

    async def replicas(self) -> Sequence[Record]:
        """Return the replicas of the model, when none is on its way."""
        return _replicas(await self._once("/api/multigpu/models", _is_settled))

    async def _once(self, path: str, holds: Callable[[Record], bool]) -> Record:
        """Return an answer of which something holds. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE):
            while not holds(found := await self.ask("GET", path)):  # noqa: ASYNC110  (nobody tells when)
                await asyncio.sleep(_POLL_SECONDS)
        return cast("Record", found)

    async def measure(self, layout: Layout, clients: int, pace: Pace, seed: int) -> tuple[float, Sequence[Record]]:
        """Return tokens/s of a layout that is loaded for it and unloaded again, and its replicas.

        Two warm-ups come first, so that further replicas are there. Raises aiohttp.ClientError when it is refused.
        """
        try:
            for _ in range(2):
                await self._load(layout, clients, _WARM_UP, seed)
                await self.replicas()
            speed = await self._load(layout, clients, pace, seed)
            return speed, await self.replicas()
        finally:
            await self.unload()

    async def _load(self, layout: Layout, clients: int, pace: Pace, seed: int) -> float:
        scenario = Scenario(name="", clients=clients, prompt_words=(PROMPT_WORDS,), answer_tokens=ANSWER_TOKENS)
        client = Client(self._session, self._url, Wishing(layout.wish))
        window = await run(client, scenario, asks(scenario, random_texts(scenario, seed)), pace)
        return tokens_between(window, window.begin, window.end) / pace.seconds

    async def unload(self) -> None:
        """Free the devices."""
        await self.ask("POST", "/api/generate", {"model": MODEL, "keep_alive": 0, "stream": False})
        await self._once("/api/multigpu/models", lambda found: not found["models"])


def _replicas(found: Record) -> list[Record]:
    return [replica for model in found["models"] for replica in model["replicas"]]


def _is_settled(found: Record) -> bool:
    return all(replica["state"] == "ready" for replica in _replicas(found))


def _is_measured(topology: Record) -> bool:
    return all("bandwidth" in of for of in (*topology["devices"], *topology["links"]))


@asynccontextmanager
async def serving(
    model: Path, cores: Sequence[int], memory: Sequence[int], folder: Path, log: IO[bytes]
) -> AsyncIterator[Served]:
    """Run a server over one device per core, with so many bytes of memory each (0: no limit); ``folder`` is its home.

    What its devices were measured to do before is not measured again.
    """
    settings = folder / ".pollama" / "config.yaml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(configuration(cores, memory), encoding="utf-8")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "HOME": str(folder),
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_CONTEXT_LENGTH": str(CONTEXT),
    }
    async with started([*POLLAMA, "serve"], environment, log) as process:
        await until_ready(url, process)
        recipe = folder / "Modelfile"
        recipe.write_text(f"FROM {model}\n", encoding="utf-8")
        async with started([*POLLAMA, "create", MODEL, "-f", str(recipe)], environment, log) as creating:
            await creating.wait()
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
            yield Served(url, session)


def configuration(cores: Sequence[int], memory: Sequence[int]) -> str:
    """Return the settings of a server in YAML."""
    devices = [
        f'{{cores: "{core}"{f", memory: {size}" if size else ""}}}' for core, size in zip(cores, memory, strict=True)
    ]
    return f"devices:\n  cpu: [{', '.join(devices)}]\nmulti_gpu:\n  enabled: true\n"
