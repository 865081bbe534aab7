"""The way of one request: resolve, check, acquire, render, generate, parse, release.

The numbers in the comments are the steps of ``docs/architecture.md``. Handlers decode before and encode after.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from pollama.clock import Clock
from pollama.errors import ModelNotFoundError
from pollama.inference import checks
from pollama.inference.embedding import finished_vector, tokens_of
from pollama.inference.jobs import context_shift, generate_job
from pollama.inference.pieces import Answer, done, nanoseconds
from pollama.inference.prompting import MEDIA_MARKER, ChatPrompter, CompletionPrompter, Prompted, Prompter
from pollama.inference.routing import expected_tokens, prefixes_of
from pollama.types.events import Done, Embeddings, Piece, Rendered
from pollama.types.generation import EmbedJob
from pollama.types.json import Json
from pollama.types.messages import Think
from pollama.types.model import Model
from pollama.types.options import Options
from pollama.types.ports import Lease, LeaseRequest, Library, Runner, Scheduler
from pollama.types.requests import ChatRequest, CompletionRequest, EmbedRequest, GenerationRequest

Events = AsyncGenerator[Piece | Done | Rendered, None]


def _options(model: Model, request: GenerationRequest) -> Options:
    return Options().updated(model.stored.parameters).updated(request.options)


@dataclass(frozen=True, slots=True)
class _Task:
    """A request with all that was found out about it. ``started`` is monotonic seconds."""

    model: Model
    request: GenerationRequest
    options: Options
    think: Think
    started: float
    keeps_context: bool = False

    @property
    def shift(self) -> bool:
        """Whether a full context drops its oldest half."""
        return context_shift(self.request, self.model.stored.config.model_family)

    def lease_request(self, client: str) -> LeaseRequest:
        """Return what the scheduler is asked for."""
        prefixes = prefixes_of(self.request)
        return LeaseRequest(
            model=self.model,
            options=self.options,
            keep_alive=self.request.keep_alive,
            context_shift=self.shift,
            client=client,
            wish=self.request.wish,
            prefixes=prefixes,
            tokens=expected_tokens(prefixes, self.options),
        )

    def context_length(self, runner: Runner) -> int:
        """Return the tokens that prompt and answer may take together."""
        wished = self.options.num_ctx if "num_ctx" in self.options.explicit else runner.info.context_length
        return min(wished, runner.info.context_length)


class Inference:
    """Carries out requests of every dialect."""

    def __init__(self, library: Library, scheduler: Scheduler, clock: Clock, *, cloud_disabled: bool) -> None:
        self._library = library
        self._scheduler = scheduler
        self._clock = clock
        self._cloud_disabled = cloud_disabled

    async def chat(self, request: ChatRequest, *, client: str = "") -> Events:
        """Continue a conversation.

        ``client`` groups requests for fairness. A load or unload request yields a single Done. Raises PollamaError
        before the first event for everything that can be known by then.
        """
        started = self._clock.monotonic()
        model = await self._library.resolve(request.model)  # 2
        if not request.messages and request.keep_alive == 0:
            yield await self._unload(model)
            return
        task = self._chat_task(model, request, started)  # 3
        prompter = ChatPrompter(model, request, task.think) if request.messages else None
        async with aclosing(self._run(task, prompter, client)) as events:
            async for event in events:
                yield event

    async def count_tokens(self, request: ChatRequest, *, client: str = "") -> int:
        """Return the length of a conversation's prompt, without that of its images. Raises as ``chat``."""
        model = await self._library.resolve(request.model)
        task = self._chat_task(model, request, self._clock.monotonic())
        async with self._scheduler.acquire(task.lease_request(client)) as lease:
            whole = replace(request, truncate=False)
            prompted = await ChatPrompter(model, whole, task.think).prompt(lease.runner, 0)
            return len(await lease.runner.tokenize(prompted.text.replace(MEDIA_MARKER, ""), add_special=True))

    def _chat_task(self, model: Model, request: ChatRequest, started: float) -> _Task:
        """Return the task of a conversation. Raises BadRequestError or ForbiddenError for what the model cannot do."""
        checks.refuse_remote(model, cloud_disabled=self._cloud_disabled)
        think = checks.effective_think(model, request)
        checks.require_completion(model, request, "chat")
        checks.check_tool_choice(request)
        if request.offered_tools:
            checks.require_capability(model, "tools")
        return _Task(model, request, _options(model, request), think, started)

    async def complete(self, request: CompletionRequest, *, client: str = "") -> Events:
        """Complete a prompt. As ``chat``, for a single text."""
        started = self._clock.monotonic()
        model = await self._library.resolve(request.model)  # 2
        checks.refuse_remote(model, cloud_disabled=self._cloud_disabled)
        if not request.prompt and request.keep_alive == 0:
            yield await self._unload(model)
            return
        checks.check_raw(request)  # 3
        think = checks.effective_think(model, request)
        checks.require_completion(model, request, "generate")
        if request.suffix:
            checks.require_capability(model, "insert")
        task = _Task(model, request, _options(model, request), think, started, keeps_context=not request.raw)
        prompter = CompletionPrompter(model, request, think) if request.prompt else None
        async with aclosing(self._run(task, prompter, client)) as events:
            async for event in events:
                yield event

    async def embed(self, request: EmbedRequest, *, client: str = "") -> Embeddings:
        """Embed texts. No texts = load the model. Raises PollamaError."""
        started = self._clock.monotonic()
        model = await self._library.resolve(request.model)
        if model.stored.config.remote_host:
            raise ModelNotFoundError(request.model)
        options = Options().updated(model.stored.parameters).updated(request.options)
        lease_request = LeaseRequest(model=model, options=options, keep_alive=request.keep_alive, client=client)
        async with self._scheduler.acquire(lease_request) as lease:
            if not request.inputs:
                return Embeddings(vectors=[])
            inputs = await self._embed_inputs(request, options, lease.runner)
            vectors = await lease.runner.embed(EmbedJob(inputs=inputs))
            spec = model.stored.spec
            raw = not request.normalize and spec is not None and spec.raw_embeddings
            return Embeddings(
                vectors=[finished_vector(vector, request.dimensions, raw=raw) for vector in vectors],
                prompt_tokens=sum(map(len, inputs)),
                total_duration=nanoseconds(self._clock.monotonic() - started),
                load_duration=nanoseconds(lease.load_seconds),
            )

    async def _embed_inputs(self, request: EmbedRequest, options: Options, runner: Runner) -> list[list[int]]:
        context = runner.info.context_length
        if "num_ctx" in options.explicit:
            context = min(options.num_ctx, context)
        return [
            await tokens_of(text, runner, context_length=context, truncate=request.truncate) for text in request.inputs
        ]

    async def _unload(self, model: Model) -> Done:
        await self._scheduler.unload(model)
        return Done(reason="unload")

    async def _run(self, task: _Task, prompter: Prompter | None, client: str) -> Events:
        """Steps 4 to 8. Without a prompter the model is only loaded."""
        async with self._scheduler.acquire(task.lease_request(client)) as lease:  # 4, 8
            if prompter is None:
                yield Done(reason="load")
                return
            prompted = await prompter.prompt(lease.runner, task.context_length(lease.runner))  # 5
            if task.request.debug_render_only:
                yield Rendered(template=prompted.shown, image_count=len(prompted.media))
                return
            checks.check_media(task.model, prompted.media, lease.runner.info, native=prompted.native)
            async with aclosing(self._answer(task, prompter, prompted, lease)) as events:
                async for event in events:
                    yield event

    async def _answer(self, task: _Task, prompter: Prompter, prompted: Prompted, lease: Lease) -> Events:
        """Generate; where the format has to wait for the end of thinking, generate twice.

        What follows the thinking begins again, bound to the format: a format is never ignored (in Ollama it is, here).
        """
        reading = prompted.reading
        answer_format = None if reading.requires_call else checks.checked_format(task.request.format)
        if reading.thinks_before_format and task.request.format.given and not reading.requires_call:
            draft = self._generation(task, prompted, lease, None)
            async with aclosing(draft.thoughts()) as pieces:
                async for piece in pieces:
                    yield piece
            if draft.finished is not None:
                yield await self._done(task, draft, prompted, lease)
                return
            prompted = await prompter.after_thinking(prompted, draft, lease.runner, task.context_length(lease.runner))
        answer = self._generation(task, prompted, lease, answer_format)
        async with aclosing(answer.pieces()) as pieces:
            async for piece in pieces:
                yield piece
        if answer.finished is not None:
            yield await self._done(task, answer, prompted, lease)

    def _generation(self, task: _Task, prompted: Prompted, lease: Lease, answer_format: Json) -> Answer:
        job = generate_job(
            prompted.text,
            prompted.media,
            task.request,
            task.options,
            context_length=task.context_length(lease.runner),
            shift=task.shift,
            native=prompted.native,
            answer_format=answer_format,
            reading=prompted.reading,
        )
        return Answer(lease.runner, job, prompted.reading, guard=not prompted.native)  # 6, 7

    async def _done(self, task: _Task, answer: Answer, prompted: Prompted, lease: Lease) -> Done:
        assert answer.finished is not None
        total_seconds = self._clock.monotonic() - task.started
        context = await lease.runner.tokenize(prompted.shown + answer.text) if task.keeps_context else None
        return done(
            answer.finished,
            answer.last,
            total_seconds=total_seconds,
            load_seconds=lease.load_seconds,
            context=context,
        )
