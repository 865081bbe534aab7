"""The ed25519 key by which registries know this user: ``~/.ollama/id_ed25519``, shared with Ollama."""

from __future__ import annotations

import base64
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from pollama.errors import StoreError
from pollama.models.blobs import store_errors


@dataclass(frozen=True, slots=True)
class Identity:
    """A key pair that signs requests for tokens."""

    key: Ed25519PrivateKey

    @property
    def public_line(self) -> str:
        """The public key as OpenSSH writes it, without a comment: ``ssh-ed25519 <base64>``."""
        return self.key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()

    def authorization(self, text: str) -> str:
        """Return the Authorization header for the signed ``text``: ``<public key>:<signature>``, both base64."""
        signature = base64.b64encode(self.key.sign(text.encode())).decode()
        return f"{self.public_line.split()[1]}:{signature}"


def load_or_create(path: Path) -> Identity:
    """Return the identity in ``path``, which is made when it is missing. Raises StoreError, naming the file."""
    with store_errors(f"key {path} cannot be read or made"):
        with contextlib.suppress(FileExistsError):
            _create(path)
        data = path.read_bytes()
    try:
        key = load_ssh_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StoreError(f"key {path} is no unencrypted OpenSSH private key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreError(f"key {path} is not of type ed25519")
    return Identity(key)


def _create(path: Path) -> None:
    """Write a new key pair. Raises FileExistsError when there is a private key."""
    if path.exists():
        raise FileExistsError(path)
    identity = Identity(Ed25519PrivateKey.generate())
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(temporary, identity.key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), 0o600)
        os.link(temporary, path)  # whole or not at all, and never over a key that another process made meanwhile
    finally:
        temporary.unlink(missing_ok=True)
    _write(path.with_name(f"{path.name}.pub"), f"{identity.public_line}\n".encode(), 0o644)


def _write(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)
