"""The files that FROM, ADAPTER and DRAFT of a Modelfile stand for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from pollama.cli.errors import CliError
from pollama.models import names

_ZIP: Final = "application/zip"
_BINARY: Final = "application/octet-stream"
_TEXT: Final = "text/plain; charset=utf-8"
_ANYTHING: Final = ""

_WEIGHTS: Final = (
    (("model*.safetensors", "*/model*.safetensors"), _ANYTHING),
    (("consolidated*.safetensors",), _ANYTHING),
    (("pytorch_model*.bin",), _ZIP),
    (("consolidated*.pth",), _ZIP),
    (("*.gguf",), _BINARY),
    (("*.bin",), _BINARY),
)
"""Patterns of weight files and what the files must contain; the first pattern that finds any wins."""

_CONTROL_CHARACTERS: Final = bytes(set(range(0x20)) - set(b"\t\n\f\r\x1b"))


def local_path(written: str, folder: Path) -> Path:
    """Return the path that a Modelfile in ``folder`` means. Raises CliError for the home of an unknown user."""
    if written.startswith("~"):
        try:
            return Path(written).expanduser()
        except RuntimeError as error:
            user = written[1:].split("/", maxsplit=1)[0]
            raise CliError(f"failed to find user '{user}': user: unknown user {user}") from error
    return folder / written


def model_files(path: Path) -> dict[str, Path]:
    """Return the files of a model at ``path``, a file or a folder, by the names that the server gets.

    Raises CliError when a folder has no weights, a file has the wrong content, or a link leads out of the folder.
    """
    if not path.exists():
        raise CliError(f"stat {path}: no such file or directory")
    return named([path.resolve()] if path.is_file() else list(_folder_files(path.resolve())))


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Name files by their paths below their deepest common folder."""
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return {path.relative_to(common).as_posix(): path for path in paths}


def _folder_files(folder: Path) -> Iterator[Path]:
    yield from _weights(folder)
    yield from _checked(folder, ("*.json", "*/*.json"), _TEXT)
    yield from _checked(folder, ("chat_template.jinja",), _ANYTHING)
    tokenizer = list(_checked(folder, ("tokenizer.model",), _BINARY))
    yield from tokenizer or _checked(folder, ("*/tokenizer.model",), _BINARY)


def _weights(folder: Path) -> list[Path]:
    for patterns, content in _WEIGHTS:
        found = list(_checked(folder, patterns, content))
        if found:
            return found
    raise CliError("no Modelfile or safetensors files found")


def _checked(folder: Path, patterns: Iterable[str], content: str) -> Iterator[Path]:
    """Yield the files that match, after a look at their content and at where their links lead."""
    for path in (path for pattern in patterns for path in sorted(folder.glob(pattern))):
        _check_link(folder, path)
        actual = content_type(path)
        if content not in (_ANYTHING, actual):
            raise CliError(f"invalid content type: expected {actual} for {path}")
        yield path


def _check_link(folder: Path, path: Path) -> None:
    target = path.resolve()
    if target.is_relative_to(folder):
        return
    hint = "\n\nUse --local-dir <dir> when downloading model to disable caching" if ".cache" in target.parts else ""
    raise CliError(f"insecure path: {os.path.relpath(target, folder)}{hint}")


def content_type(path: Path) -> str:
    """Return the MIME type of a file, by its first bytes."""
    with path.open("rb") as file:
        beginning = file.read(512)
    if beginning.startswith(b"PK\x03\x04"):
        return _ZIP
    return _BINARY if beginning.translate(None, _CONTROL_CHARACTERS) != beginning else _TEXT


def find_sources(written: Sequence[str], folder: Path, *, must_exist: bool) -> tuple[dict[str, Path], str]:
    """Return the files that several lines stand for, and the last line that is a model's name instead.

    Raises CliError for what is neither.
    """
    files: dict[str, Path] = {}
    name = ""
    for text in written:
        path = local_path(text, folder)
        if must_exist or path.exists():
            files |= model_files(path)
        elif names.can_be_name(text):
            name = text
        else:
            raise CliError(f"{text}: no such file or directory, and an invalid model name")
    return files, name
