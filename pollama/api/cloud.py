"""Names of Ollama's cloud (``x:cloud``): pollama has no cloud to forward them to."""

from __future__ import annotations

from pollama.api.services import Services
from pollama.errors import ForbiddenError, UnauthorizedError


def refuse_cloud_name(services: Services, name: str, *, unavailable: str = "remote model is unavailable") -> None:
    """Raise for a name that explicitly means a model of the cloud.

    ForbiddenError where cloud features are turned off, UnauthorizedError where they are not: nobody is signed in.
    What is no name at all raises as a look-up of the model would.
    """
    wanted = services.library.asks_for_cloud(name)
    if wanted and services.cloud_disabled:
        raise ForbiddenError(f"ollama cloud is disabled: {unavailable}")
    if wanted:
        raise UnauthorizedError("unauthorized")
