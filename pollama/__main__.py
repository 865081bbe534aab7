"""``python -m pollama``."""

from pollama.cli.main import main

if __name__ == "__main__":
    main()
