"""The engine's probe of a machine with a GPU whose free memory only the engine knows: it is asked at every reading."""

from __future__ import annotations

import json

from pollama.native.child import end_with_parent, result_stream
from pollama.native.probe import devices


def main() -> None:
    """Print the devices of this machine, and one more of a backend that pollama does not use."""
    end_with_parent()
    with result_stream() as stream:
        known = devices()
        json.dump([*known, {**known[0], "name": "OTHER0", "backend": "OTHER", "kind": "gpu"}], stream)


if __name__ == "__main__":
    main()
