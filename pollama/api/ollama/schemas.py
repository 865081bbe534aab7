"""The request bodies of the native dialect, field by field."""

from __future__ import annotations

from typing import Final

from pollama.api.godecode import Bool, Ignored, Int, Kind, List, Map, Raw, String, Struct, Untyped
from pollama.api.messages import IMAGES, KEEP_ALIVE, MESSAGES, THINK, TOOLS
from pollama.api.multigpu.wish import WISH

_OPTIONS: Final = Map(Untyped())
_STRINGS: Final = Map(String())

_GENERATION: Final[dict[str, Kind]] = {
    "model": String(),
    "stream": Bool(),
    "format": Raw(),
    "keep_alive": KEEP_ALIVE,
    "options": _OPTIONS,
    "think": THINK,
    "truncate": Bool(),
    "shift": Bool(),
    "_debug_render_only": Bool(),
    "logprobs": Bool(),
    "top_logprobs": Int(),
    "multi_gpu": WISH,
}

GENERATE: Final = Struct(
    "GenerateRequest",
    {
        **_GENERATION,
        "prompt": String(),
        "suffix": String(),
        "system": String(),
        "template": String(),
        "context": List(Int()),
        "raw": Bool(),
        "images": IMAGES,
    },
)
CHAT: Final = Struct("ChatRequest", {**_GENERATION, "messages": MESSAGES, "tools": TOOLS})
EMBED: Final = Struct(
    "EmbedRequest",
    {
        "model": String(),
        "input": Untyped(),
        "keep_alive": KEEP_ALIVE,
        "truncate": Bool(),
        "dimensions": Int(),
        "options": _OPTIONS,
    },
)
EMBEDDING: Final = Struct(
    "EmbeddingRequest", {"model": String(), "prompt": String(), "keep_alive": KEEP_ALIVE, "options": _OPTIONS}
)
SHOW: Final = Struct(
    "ShowRequest",
    {
        "model": String(),
        "system": String(),
        "template": Ignored(String()),
        "verbose": Bool(),
        "options": _OPTIONS,
        "name": String(),
    },
)
COPY: Final = Struct("CopyRequest", {"source": String(), "destination": String()})
DELETE: Final = Struct("DeleteRequest", {"model": String(), "name": String()})
_TRANSFER: Final[dict[str, Kind]] = {
    "model": String(),
    "insecure": Bool(),
    "username": Ignored(String()),
    "password": Ignored(String()),
    "stream": Bool(),
    "name": String(),
}
PULL: Final = Struct("PullRequest", _TRANSFER)
PUSH: Final = Struct("PushRequest", _TRANSFER)
CREATE: Final = Struct(
    "CreateRequest",
    {
        "model": String(),
        "stream": Bool(),
        "quantize": String(),
        "draft_quantize": String(),
        "from": String(),
        "remote_host": String(),
        "files": _STRINGS,
        "draft_files": _STRINGS,
        "adapters": _STRINGS,
        "template": String(),
        "license": Untyped(),
        "system": String(),
        "parameters": Map(Untyped()),
        "messages": MESSAGES,
        "renderer": String(),
        "parser": String(),
        "requires": String(),
        "info": Map(Untyped()),
        "name": String(),
        "quantization": String(),
    },
)
