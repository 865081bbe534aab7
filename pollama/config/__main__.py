"""``python -m pollama.config`` prints ``docs/configuration.md``."""

import sys

from pollama.config.documentation import documentation

sys.stdout.write(documentation())
