"""Images and sounds that a prompt names by their paths."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Final

from pollama.cli.command import stderr
from pollama.cli.errors import CliError
from pollama.cli.sources import content_type
from pollama.types.json import Json

_LARGEST: Final = 100 * 1024 * 1024
_FILE: Final = re.compile(r"(?:[a-zA-Z]:)?(?:\./|/|\\)[\S\\ ]+?\.(?i:jpg|jpeg|png|webp|wav)\b")
_ESCAPED: Final = re.compile(r"\\([ ()\[\]{}$&;'\\*?~])")


def takes_media(description: Json) -> bool:
    """Tell from an answer of /api/show whether a model understands images or sounds."""
    return (
        not {"vision", "audio"}.isdisjoint(description.get("capabilities") or ())
        or bool(description.get("projector_info"))
        or any(".vision." in key for key in description.get("model_info") or ())
    )


def file_names(prompt: str) -> list[str]:
    """Return the parts of a prompt that look like paths of images or sounds, as they are written there."""
    return _FILE.findall(prompt)


def attach(prompt: str) -> tuple[str, list[str]]:
    """Take the paths of existing files out of a prompt; return what remains and the files in base64.

    Raises CliError for a file that is too large, cannot be read, or is of another type than its name says.
    """
    files = []
    for written in file_names(prompt):
        path = Path(_ESCAPED.sub(r"\1", written))
        if not path.exists():
            continue
        try:
            content = _content(path)
        except (OSError, ValueError) as error:
            raise CliError(f'Couldn\'t process file: "{error}"') from error
        stderr(f"Added {'audio' if _is_wave(content) else 'image'} '{path}'")
        prompt = prompt.replace(f"'{written}'", "").replace(written, "")
        files.append(base64.b64encode(content).decode("ascii"))
    return prompt.strip(), files


def _content(path: Path) -> bytes:
    if path.stat().st_size > _LARGEST:
        raise ValueError("file size exceeds maximum limit (100MB)")
    content = path.read_bytes()
    if not (_is_wave(content) or _is_image(content)):
        raise ValueError(f"invalid file type: {content_type(path)}")
    return content


def _is_wave(content: bytes) -> bool:
    return content[:4] == b"RIFF" and content[8:12] == b"WAVE"


def _is_image(content: bytes) -> bool:
    webp = content[:4] == b"RIFF" and content[8:14] == b"WEBPVP"
    return webp or content.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))
