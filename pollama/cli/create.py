"""``create``: a model from a Modelfile."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Final

from pollama.cli import flags
from pollama.cli.client import Client
from pollama.cli.command import ONE, command, stdout
from pollama.cli.connection import connect
from pollama.cli.errors import CliError
from pollama.cli.progress import Progress, Spinner, StatusLines
from pollama.cli.sources import find_sources
from pollama.models import modelfile, names
from pollama.models.recipe import Recipe, read_recipe
from pollama.types.json import Json

_WORKERS: Final = max(1, (os.cpu_count() or 1) - 1)


@command("create MODEL", ONE)
@flags.text("-f", "--file", is_path=True, help='Name of the Modelfile (default "Modelfile")')
@flags.text("-q", "--quantize", help="Quantize model to this level (e.g. q4_K_M)")
@flags.text("--draft-quantize", help="Quantize draft model to this level")
@flags.switch("--experimental", help="Enable experimental safetensors model creation")
def create(arguments: tuple[str, ...], *, file: str, quantize: str, draft_quantize: str, experimental: bool) -> None:
    """Create a model."""
    (model,) = arguments
    if not names.parse(model).is_valid:
        raise CliError(f"invalid model name: {model}")
    if experimental:
        raise CliError("--experimental is not available: pollama runs GGUF models only")
    recipe, folder = _read(file)
    for warning in recipe.warnings:
        stdout(warning)
    if draft_quantize and not recipe.drafts:
        raise CliError("--draft-quantize requires a DRAFT model")
    client = connect()
    with Progress() as progress:
        request = _request(recipe, *_gathered(progress, client, recipe, folder))
        request |= {"name": "", "model": model, "quantize": quantize, "draft_quantize": draft_quantize}
        _follow(progress, client, {key: value for key, value in request.items() if value or key == "name"})


def _read(file: str) -> tuple[Recipe, Path]:
    """Return the recipe and the folder its paths start from; without a Modelfile, that of ``FROM .`` right here."""
    path = Path(file or "Modelfile").absolute()
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        return read_recipe(modelfile.parse("FROM .\n")), Path.cwd()
    except OSError as error:
        raise CliError(f"open {path}: {error.strerror}") from error
    return read_recipe(modelfile.parse(source)), path.parent


def _request(recipe: Recipe, source: str, digests: Mapping[str, dict[str, str]]) -> dict[str, Any]:
    return {
        "from": source,
        **digests,
        "template": recipe.template,
        "system": recipe.system,
        "license": recipe.licenses,
        "parameters": recipe.parameters,
        "messages": [{"role": message.role, "content": message.content} for message in recipe.messages],
        "renderer": recipe.renderer,
        "parser": recipe.parser,
        "requires": recipe.requires,
    }


def _gathered(
    progress: Progress, client: Client, recipe: Recipe, folder: Path
) -> tuple[str, dict[str, dict[str, str]]]:
    """Find, hash and upload the files of a recipe; return the base model's name and the digests by file name."""
    spinner = Spinner("gathering model components")
    progress.add(spinner)
    files, source = find_sources(recipe.sources, folder, must_exist=False)
    adapters, _ = find_sources(recipe.adapters[-1:], folder, must_exist=True)
    drafts, _ = find_sources(recipe.drafts[-1:], folder, must_exist=True)
    shared = next((path for path in drafts.values() if path in files.values()), None)
    if shared is not None:
        raise CliError(f"DRAFT must not reference the same local path as FROM: {shared}")
    paths = {*files.values(), *adapters.values(), *drafts.values()}
    with ThreadPoolExecutor(_WORKERS) as pool:
        digests = dict(zip(paths, pool.map(digest_of, paths), strict=True))
        spinner.stop()
        for _ in pool.map(lambda path: _upload(progress, client, path, digests[path]), paths):
            pass
    groups = {"files": files, "adapters": adapters, "draft_files": drafts}
    return source, {key: {name: digests[path] for name, path in group.items()} for key, group in groups.items()}


def digest_of(path: Path) -> str:
    """Return the digest that names a file's content in the store."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _upload(progress: Progress, client: Client, path: Path, digest: str) -> None:
    """Send a file unless the server has it."""
    spinner = Spinner(f"copying file {digest} 100%")
    if not client.has_blob(digest):
        size = path.stat().st_size
        with path.open("rb") as file:
            progress.add(spinner)
            client.upload(digest, _Watched(file, size, spinner, digest), size)
    spinner.message = f"copying file {digest} 100%"
    spinner.stop()


class _Watched:
    """A file that tells a spinner how much of it has been read."""

    def __init__(self, file: BinaryIO, size: int, spinner: Spinner, digest: str) -> None:
        self._file = file
        self._size = size
        self._spinner = spinner
        self._digest = digest

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        percent = self._file.tell() * 100 // self._size if self._size else 100
        self._spinner.message = f"copying file {self._digest} {percent}%"
        return content


def _follow(progress: Progress, client: Client, request: Json) -> None:
    """Show the records of the create until the last one."""
    lines = StatusLines(progress)
    for record in client.stream("/api/create", request):
        if record.get("digest"):
            lines.show_bytes(record["digest"], record["status"], record.get("completed", 0), record.get("total", 0))
        else:
            lines.show_status(record["status"])
