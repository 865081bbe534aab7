"""The hub itself, through ``huggingface-hub``, which knows its addresses, tokens and errors.

The library takes endpoint and token from its own variables (``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HOME`` ...). It is
imported when a model of the hub is asked for: few servers ever need it, and it takes half a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pollama.models.huggingface.choice import RepositoryFile
from pollama.models.names import ModelName
from pollama.models.registry.pacing import RegistryError

HOSTS: Final = frozenset(("hf.co", "huggingface.co"))
_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Hub:
    """Where the hub is and who asks; None = as the variables of ``huggingface-hub`` say."""

    endpoint: str | None = None
    token: str | None = None

    def look_up(self, name: str) -> Repository:
        """Return a repository, ``user/model``, as it is now. Blocks. Raises RegistryError."""
        from huggingface_hub import HfApi, get_token  # noqa: PLC0415  (see above)

        api = HfApi(endpoint=self.endpoint, token=self.token)
        with _errors(name, api.endpoint):
            found = api.model_info(name, files_metadata=True, timeout=_SECONDS)
        files = tuple(
            RepositoryFile(path=file.rfilename, size=file.size or 0, digest=f"sha256:{file.lfs.sha256}")
            if file.lfs
            else RepositoryFile(path=file.rfilename, size=file.size or 0)
            for file in found.siblings or ()
        )
        return Repository(name, found.sha or "main", api.endpoint, self.token or get_token() or "", files)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at one ``revision``; ``token`` "" when nobody is signed in."""

    name: str
    revision: str
    endpoint: str
    token: str
    files: tuple[RepositoryFile, ...]

    def url(self, path: str) -> str:
        """Return the address of a file."""
        from huggingface_hub import hf_hub_url  # noqa: PLC0415  (see above)

        return hf_hub_url(self.name, path, revision=self.revision, endpoint=self.endpoint)

    def check_access(self, path: str) -> None:
        """Raise RegistryError unless the user may download a file: gated repositories show what they hold to all."""
        from huggingface_hub import get_hf_file_metadata  # noqa: PLC0415  (see above)

        with _errors(self.name, self.endpoint):
            get_hf_file_metadata(self.url(path), token=self.token or False, timeout=_SECONDS, endpoint=self.endpoint)


def is_on_hub(name: ModelName) -> bool:
    """Whether a name means a repository of the hub."""
    return name.host.lower() in HOSTS


@contextmanager
def _errors(name: str, endpoint: str) -> Iterator[None]:
    """Say in one line what a failure of the library means to the user."""
    from httpx2 import HTTPError  # noqa: PLC0415  (see above; the library lets errors of its HTTP client through)
    from huggingface_hub import errors  # noqa: PLC0415

    page = f"{endpoint}/{name}"
    try:
        yield
    except errors.GatedRepoError as error:
        text = f"{page} is gated: ask for access on that page, then set HF_TOKEN to a token of your account"
        raise RegistryError(text) from error
    except errors.RepositoryNotFoundError as error:
        text = f"{page} does not exist, or is private: then set HF_TOKEN to a token that may read it"
        raise RegistryError(text) from error
    except errors.HFValidationError as error:
        raise RegistryError(f"{name} cannot be the name of a repository of Hugging Face: {error}") from error
    except errors.HfHubHTTPError as error:
        reason = error.server_message or error.response.reason_phrase
        raise RegistryError(f"{error.response.status_code}: {reason} ({page})") from error
    except (HTTPError, OSError) as error:
        raise RegistryError(f"{endpoint} cannot be reached: {error}") from error
