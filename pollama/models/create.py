"""Creating a model: from uploaded files or a stored model, with a new prompt, parameters and licenses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

import msgspec

from pollama.errors import BadRequestError, InvalidNameError, PollamaError, TemplateError
from pollama.models import config as image
from pollama.models import info, manifest, media, names, quantization, stored
from pollama.models.folder import StoreFolder
from pollama.models.gguf import Header
from pollama.models.imports import Part, check_format, existing_layer, is_text_model, read_gguf, text_layer
from pollama.models.manifest import Manifest
from pollama.models.names import ModelName, Reference
from pollama.models.splits import joined
from pollama.types import gojson
from pollama.types.address import ServerAddress
from pollama.types.events import Progress
from pollama.types.human import human_number
from pollama.types.json import Json
from pollama.types.library import CreateRequest
from pollama.types.messages import Message
from pollama.types.model import ModelConfig
from pollama.types.ports import Inspector

_CLOUD_HOST: Final = "https://ollama.com:443"
_HOST: Final = re.compile(r"[^\s/?#@\x00-\x1f]+")
_FORMATS: Final = {
    "gemma4": ("gemma4", "<turn|>"),
    "laguna": ("laguna", ""),
    "nemotron_h": ("nemotron-3-nano", ""),
    "nemotron_h_moe": ("nemotron-3-nano", ""),
    "nemotron_h_omni": ("nemotron-3-nano", ""),
}
"""Of each architecture that is prompted by a built-in renderer: its name (and its parser's), and a stop string."""


class Creation:
    """One create request on its way: gathers the parts of the model, then writes its manifest."""

    def __init__(
        self,
        folder: StoreFolder,
        inspector: Inspector,
        request: CreateRequest,
        *,
        pull: Callable[[str], AsyncIterator[Progress]],
        prune: bool,
    ) -> None:
        self._folder = folder
        self._blobs = folder.blobs
        self._inspector = inspector
        self._request = request
        self._pull = pull
        self._prune = prune
        self._config = ModelConfig()
        self._parameters = dict(request.parameters)
        self._parts: list[Part] = []

    async def run(self) -> AsyncGenerator[Progress, None]:
        """Carry the request out, one record after the other; the last is ``success``. Raises PollamaError."""
        target = names.parse(self._request.model)
        if not target.is_valid:
            raise InvalidNameError(self._request.model)
        info.stated(self._request.info)
        for stage in (self._gather, self._quantize):
            async with aclosing(stage()) as steps:
                async for step in steps:
                    yield step
        await asyncio.to_thread(self._finish, target)
        for part in self._parts:
            yield Progress(status=part.status)
        yield Progress(status="writing manifest")
        yield Progress(status="success")

    async def _gather(self) -> AsyncGenerator[Progress, None]:
        request = self._request
        source = names.parse_reference(request.source) if request.source else Reference("")
        if request.remote_host or source.source == "cloud":
            self._point_to(source.base, request.remote_host)
            return
        if request.source:
            async for step in self._inherit(source):
                yield step
        elif request.files is not None:
            async for step in self._import(request.files):
                yield step
        else:
            raise BadRequestError("neither 'from' or 'files' was specified")
        if request.adapters:
            async for step in self._add_adapters(request.adapters):
                yield step
        if request.draft_files:
            async for step in self._add_drafts(request.draft_files):
                yield step

    def _point_to(self, model: str, host: str) -> None:
        """Make a stub of a model that another server runs."""
        if self._request.draft_files:
            raise BadRequestError("DRAFT cannot be used with remote models")
        remote_host = remote_url(host) if host else _CLOUD_HOST
        self._config = replace(self._config, remote_host=remote_host, remote_model=model)

    async def _inherit(self, source: Reference) -> AsyncGenerator[Progress, None]:
        name = names.parse(source.base)
        if not name.is_valid:
            raise InvalidNameError(self._request.source)
        name = await asyncio.to_thread(self._folder.located, name)
        if not self._folder.path(name).exists():
            async for step in self._pull(source.base):
                yield step
        await asyncio.to_thread(self._take_over, name)

    def _take_over(self, name: ModelName) -> None:
        try:
            base = manifest.read(self._folder.path(name)).manifest
        except FileNotFoundError:
            raise PollamaError(f"model {name.short} was removed while another was made from it") from None
        inherited = stored.read_config(base, self._blobs)
        self._config = ModelConfig(
            model_format=inherited.model_format,
            renderer=inherited.renderer,
            parser=inherited.parser,
            requires=inherited.requires,
            remote_host=inherited.remote_host,
            remote_model=inherited.remote_model,
            capabilities=inherited.capabilities,
        )
        self._parts += [existing_layer(layer, name.short, self._blobs) for layer in base.layers or ()]

    async def _import(self, files: dict[str, str]) -> AsyncGenerator[Progress, None]:
        async for step in self._read_files(files):
            yield step
        if any(part.header and is_text_model(part.header) for part in self._parts):
            yield Progress(status="verifying conversion")
        if not self._request.template:
            await asyncio.to_thread(self._detect_templates)

    async def _read_files(self, files: dict[str, str]) -> AsyncGenerator[Progress, None]:
        if not any(name.endswith(".gguf") for name in files):
            await asyncio.to_thread(check_format, files, self._blobs)
        parts: dict[str, Part] = {}
        for name, digest in files.items():
            yield Progress(status="parsing GGUF")
            parts[name] = await asyncio.to_thread(read_gguf, name, digest, self._blobs)
        self._parts += await asyncio.to_thread(joined, parts, self._blobs)

    async def _add_adapters(self, files: dict[str, str]) -> AsyncGenerator[Progress, None]:
        before = len(self._parts)
        async for step in self._read_files(files):
            yield step
        added = self._parts[before:]
        if len(added) > 1:
            raise BadRequestError("only one adapter is currently supported")
        if any(part.layer.media_type != media.ADAPTER for part in added):
            raise BadRequestError(f"{next(iter(files))} is no adapter: general.type is not 'adapter'")

    async def _add_drafts(self, files: dict[str, str]) -> AsyncGenerator[Progress, None]:
        before = len(self._parts)
        async for step in self._read_files(files):
            yield step
        self._parts[before:] = [
            replace(part, layer=msgspec.structs.replace(part.layer, media_type=media.DRAFT))
            for part in self._parts[before:]
        ]

    async def _quantize(self) -> AsyncGenerator[Progress, None]:
        wishes = {media.MODEL: self._request.quantize, media.DRAFT: self._request.draft_quantize}
        for index, part in enumerate(self._parts):
            kind, header = part.layer.media_type, part.header
            if header is None or kind not in wishes:
                continue
            file_type = quantization.needed_type(header, wishes[kind], draft=kind == media.DRAFT)
            if file_type:
                work = quantization.Quantization(part, header, file_type, self._blobs)
                async with aclosing(work.run()) as steps:
                    async for step in steps:
                        yield step
                self._parts[index] = work.part

    def _detect_templates(self) -> None:
        """Add the Go template that a known chat template inside the weights stands for, and its stop strings."""
        for part in list(self._parts):
            text = part.header.text("tokenizer.chat_template") if part.header else ""
            found = self._inspector.detect_template(text) if text else None
            if found is None:
                continue
            name, template, stops = found
            layer = text_layer(media.TEMPLATE, template.encode(), self._blobs).layer
            self._parts.append(Part(layer, f"using autodetected template {name}"))
            if stops:
                self._parts.append(text_layer(media.PARAMETERS, gojson.dump_line({"stop": stops}), self._blobs))

    def _finish(self, target: ModelName) -> None:
        """Write what is missing and the manifest under one lock: nobody removes a blob in between as unused."""
        target = self._folder.located(target)
        before = self._folder.digests_of(target)
        with self._folder.locked(exclusive=False):
            self._complete()
            config_layer = text_layer(media.CONFIG, image.encode(self._config), self._blobs).layer
            made = Manifest(config=config_layer, layers=[part.layer for part in self._parts] or None)
            self._folder.write(target, made.encoded(), made)
        if self._prune:
            self._folder.discard(before - made.digests())

    def _complete(self) -> None:
        """Work out the config from the weights and replace what the request states."""
        self._check_template()
        self._describe_weights()
        request = self._request
        self._config = replace(
            self._config,
            renderer=request.renderer or self._config.renderer,
            parser=request.parser or self._config.parser,
            requires=request.requires or self._config.requires,
        )
        for header in self._weights():
            self._apply_format(header.architecture)
        self._config = info.with_info(self._config, request.info)
        self._replace_texts()

    def _check_template(self) -> None:
        try:
            self._inspector.check_template(self._request.template)
        except TemplateError as error:
            raise BadRequestError(f"template error: {error}") from error

    def _weights(self) -> Iterator[Header]:
        return (part.header for part in self._parts if part.header and part.layer.media_type == media.MODEL)

    def _describe_weights(self) -> None:
        headers = list(self._weights())
        for header in headers:
            self._config = replace(
                self._config,
                model_format=self._config.model_format or "gguf",
                model_family=header.architecture,
                model_families=tuple(dict.fromkeys([*(self._config.model_families or ()), header.architecture])),
                model_type=human_number(header.parameter_count),
                file_type=quantization.stored_file_type(header),
            )

    def _apply_format(self, architecture: str) -> None:
        """Choose the built-in renderer and parser of an architecture that needs them, unless others are set."""
        if architecture not in _FORMATS or self._config.renderer or self._config.parser:
            return
        name, stop = _FORMATS[architecture]
        self._config = replace(self._config, renderer=name, parser=name)
        if stop:
            self._parameters.setdefault("stop", [stop])

    def _replace_texts(self) -> None:
        request = self._request
        if request.template:
            self._replace((media.TEMPLATE, media.PROMPT), request.template.encode())
        if request.system:
            self._replace((media.SYSTEM,), request.system.encode())
        for text in request.licenses:
            self._parts.append(text_layer(media.LICENSE, text.encode(), self._blobs))
        if self._parameters:
            merged = self._inherited_parameters() | self._parameters
            self._replace((media.PARAMETERS,), gojson.dump_line(gojson.sorted_maps(merged)))
        if request.messages:
            records = [_message_record(message) for message in request.messages]
            self._replace((media.MESSAGES,), gojson.dump_line(records))

    def _inherited_parameters(self) -> dict[str, Json]:
        so_far = Manifest(layers=[part.layer for part in self._parts])
        return stored.read_parameters(so_far, self._blobs)

    def _replace(self, types: tuple[str, ...], data: bytes) -> None:
        self._parts = [part for part in self._parts if part.layer.media_type not in types]
        self._parts.append(text_layer(types[0], data, self._blobs))


def remote_url(text: str) -> str:
    """Return the ``scheme://host:port`` that ``remote_host`` means. Raises BadRequestError ``bad remote``."""
    if text.startswith("/"):
        return f"http://localhost:11434{text}"
    address = ServerAddress.parse(text)
    if not address.scheme or _HOST.fullmatch(address.host) is None:
        raise BadRequestError("bad remote")
    return f"{address.scheme}://{address.netloc}{'/' if address.path else ''}{address.path}"


def _message_record(message: Message) -> dict[str, Json]:
    optional: dict[str, Json] = {"thinking": message.thinking, "images": message.images}
    present = {key: value for key, value in optional.items() if value}
    return {"role": message.role, "content": message.content} | present
