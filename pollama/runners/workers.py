"""The device workers of one runner: a process for each stage that the runner cannot have in its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec
import psutil

from pollama.errors import LoadError
from pollama.runners.protocol import ServeOrder, WorkerReady
from pollama.runners.supervised import ChildProcess
from pollama.types.generation import WorkerUse
from pollama.types.plans import LoadSpec, Stage, Worker

COMMAND: Final = (sys.executable, "-m", "pollama.runners.rpc")


class DeviceWorker:
    """One worker process and the device it serves."""

    def __init__(self, worker: Worker, process: ChildProcess) -> None:
        self.worker = worker
        self.process = process
        self._spent_on_start = 0.0

    @classmethod
    async def start(
        cls, command: Sequence[str], environ: Mapping[str, str], engine_device: str, worker: Worker, load_timeout: float
    ) -> DeviceWorker:
        """Start a worker; return when it listens, with its endpoint known. Raises LoadError naming the device."""
        order = ServeOrder(device=engine_device, cores=worker.cores, threads=worker.threads)
        environment = {**environ, "OMP_NUM_THREADS": str(worker.threads), **worker.environment}
        try:
            process = await ChildProcess.start("worker", command, environment)
        except OSError as error:
            raise LoadError(f"error starting the worker of device {worker.device}: {error}") from error
        process.order(msgspec.json.encode(order) + b"\n")
        started = cls(worker, process)
        try:
            await started._wait_listening(load_timeout)
        except BaseException:
            await process.close()
            raise
        return started

    async def _wait_listening(self, load_timeout: float) -> None:
        try:
            async with self.process.heard_every(load_timeout):
                self.worker = replace(self.worker, endpoint=await self._endpoint())
        except TimeoutError:
            errors = self.process.output.errors
            raise LoadError(f"timed out waiting for the worker of device {self.worker.device} - {errors}") from None
        self._spent_on_start = self._processor_seconds() or 0.0

    async def _endpoint(self) -> str:
        async for ready in self.process.told(WorkerReady):
            return ready.endpoint
        raise LoadError(await self.end())

    async def end(self) -> str:
        """Return when the worker has ended, saying of which device it was and how it ended."""
        how = await asyncio.shield(self.process.ended)
        return f"the worker of device {self.worker.device} has ended: {how}"

    @property
    def use(self) -> WorkerUse | None:
        """What the worker did, where the system tells."""
        seconds = self._processor_seconds()
        if seconds is None:
            return None
        return WorkerUse(device=self.worker.device, busy_seconds=seconds - self._spent_on_start)

    def _processor_seconds(self) -> float | None:
        """Return what the main thread used: it is the one that serves."""
        try:
            threads = psutil.Process(self.process.pid).threads()
        except psutil.Error:
            return None
        return next(
            (thread.user_time + thread.system_time for thread in threads if thread.id == self.process.pid), None
        )


class Workers:
    """All workers of one runner."""

    def __init__(self, workers: Sequence[DeviceWorker] = ()) -> None:
        self._workers = workers

    @classmethod
    async def start(
        cls, command: Sequence[str], environ: Mapping[str, str], stages: Sequence[Stage], load_timeout: float
    ) -> Workers:
        """Start the workers that ``stages`` need, side by side. When one cannot be had, none is left."""
        starts = [
            asyncio.create_task(DeviceWorker.start(command, environ, stage.engine_device, stage.worker, load_timeout))
            for stage in stages
            if stage.worker is not None
        ]
        try:
            return cls(await asyncio.gather(*starts))
        except BaseException:
            for start in starts:
                start.cancel()
            ends = await asyncio.gather(*starts, return_exceptions=True)
            await cls([end for end in ends if isinstance(end, DeviceWorker)]).close()
            raise

    def __bool__(self) -> bool:
        return bool(self._workers)

    def connect(self, spec: LoadSpec) -> LoadSpec:
        """Return ``spec`` with the endpoints of the workers, which are in the order of its stages."""
        found = iter(self._workers)
        stages = (stage if stage.worker is None else replace(stage, worker=next(found).worker) for stage in spec.stages)
        return replace(spec, stages=tuple(stages))

    async def lost(self) -> str:
        """Return when a worker has ended, and which and how."""
        ends = [asyncio.create_task(worker.end()) for worker in self._workers]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for end in ends:
                end.cancel()

    def uses(self) -> list[WorkerUse]:
        """Return what each worker did."""
        return [use for use in (worker.use for worker in self._workers) if use is not None]

    async def close(self) -> None:
        """End all; returns when they are gone."""
        await asyncio.gather(*(worker.process.close() for worker in self._workers))
