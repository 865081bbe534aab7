"""``launch``: says how other programs reach pollama. It configures none of them."""

from __future__ import annotations

from pollama.cli import flags
from pollama.cli.command import ANY, command
from pollama.cli.errors import CliError
from pollama.config import Config


@command("launch [INTEGRATION] [-- [EXTRA_ARGS...]]", ANY, environment=())
@flags.text("--model", help="Model to use")
@flags.switch("--config", help="Configure without launching")
@flags.switch("--restore", help="Restore an integration to its default profile")
@flags.switch("-y", "--yes", help="Automatically answer yes to confirmation prompts")
def launch(arguments: tuple[str, ...], **_ignored: object) -> None:
    """Refuse, with the addresses to put into the settings of the program that was to be launched."""
    url = Config.load().host.connectable().url
    program = arguments[0] if arguments else "other programs"
    raise CliError(
        f"pollama does not configure or start {program}. Enter its address in their settings:\n"
        f"  Ollama API     {url}\n"
        f"  OpenAI API     {url}/v1\n"
        f"  Anthropic API  {url}"
    )
