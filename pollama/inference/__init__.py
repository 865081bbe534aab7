"""The straight way of one request, between the dialects and the runners.

``service.py`` is the path itself and the file to read first; ``checks.py`` holds what is verified before a
replica is asked for, ``jobs.py`` what is sent to it, ``pieces.py`` how its answer becomes events.
"""

from pollama.inference.service import Inference

__all__ = ["Inference"]
