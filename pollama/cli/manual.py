"""What the help of a command says beyond Ollama's: what it does, and examples."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Final

_WIDTH: Final = 80


@dataclass(frozen=True, slots=True)
class Page:
    """The description of a command, and command lines (without the program) with what each does."""

    description: str
    examples: tuple[tuple[str, str], ...]

    def text(self) -> list[str]:
        """Return the lines of the description."""
        paragraphs = self.description.split("\n\n")
        filled = "\n\n".join(textwrap.fill(" ".join(paragraph.split()), _WIDTH) for paragraph in paragraphs)
        return filled.splitlines()

    def example_lines(self, program: str) -> list[str]:
        """Return the lines of the examples: each below what it does."""
        return [line for command, what in self.examples for line in (f"  # {what}", f"  {program} {command}")]


PAGES: Final = {
    "serve": Page(
        """Answers Ollama's, OpenAI's and Anthropic's APIs at OLLAMA_HOST until it is interrupted. Models are
        loaded when a request needs them, onto the devices that they fit, and unloaded when they have been idle for
        OLLAMA_KEEP_ALIVE. On SIGTERM or Ctrl-C running answers end and the models are unloaded.

        Settings come from flags, the environment and ~/.pollama/config.yaml, in this order.""",
        (
            ("serve", "a server for this machine"),
            ("serve --multi-gpu", "with replicas of a model on several devices"),
        ),
    ),
    "create": Page(
        """Makes a model from a Modelfile. FROM names a model, a GGUF file or a folder with GGUF files; files are
        uploaded, so the server may be on another machine. F32, F16 and BF16 weights can be quantized on the way.""",
        (
            ("create mine", "from ./Modelfile"),
            ("create mine -f mine.modelfile", "from another file"),
            ("create small --quantize q4_K_M", "with weights of four bits"),
        ),
    ),
    "show": Page(
        "Prints what a model is: architecture, size, capabilities, parameters, license. Flags print one part alone.",
        (
            ("show llama3.2", "an overview"),
            ("show llama3.2 --modelfile", "the Modelfile that would make it again"),
            ("show llama3.2 --verbose", "all metadata and tensors"),
        ),
    ),
    "run": Page(
        """Answers a prompt, or begins a conversation when there is none; see /? there. The model is pulled when it
        is missing, and a server is started for the command when none answers at an address of this machine. What is
        piped in comes before the words of the command line.""",
        (
            ("run llama3.2", "a conversation"),
            ('run llama3.2 "Why is the sky blue?"', "one answer"),
            ("run llama3.2 < letter.txt", "an answer to a file"),
            ("run hf.co/user/repository:Q8_0", "a model of Hugging Face"),
            ('run llama3.2 --format json "Three colours"', "an answer in JSON"),
        ),
    ),
    "stop": Page(
        "Unloads a model at once, whatever its keep-alive; running answers are finished first.",
        (("stop llama3.2", "unload it"),),
    ),
    "pull": Page(
        """Downloads a model from the registry that its name says: Ollama's (llama3.2), another one
        (host:port/namespace/model), or the Hugging Face hub (hf.co/user/repository), where the tag chooses the
        quantization. What is there already is not fetched again; what was broken off goes on. Its digest is verified
        before a file is used.

        The server that downloads reads HTTPS_PROXY and NO_PROXY, and HF_TOKEN and HF_ENDPOINT for Hugging Face.""",
        (
            ("pull llama3.2", "the default version"),
            ("pull llama3.2:1b", "another version"),
            ("pull hf.co/user/repository:Q4_K_M", "a model of Hugging Face, in one quantization"),
            ("pull --insecure localhost:5000/me/model", "from a registry without TLS"),
        ),
    ),
    "push": Page(
        """Uploads a model to the registry that its name says. Files that the registry has are not sent again. To push
        to Ollama's registry, the key of the server (~/.ollama/id_ed25519.pub) must belong to an account.""",
        (
            ("push me/model", "to Ollama's registry"),
            ("push --insecure localhost:5000/me/model", "to a registry without TLS"),
        ),
    ),
    "signin": Page("Prints how the key of the server is added to an account of ollama.com.", (("signin", "sign in"),)),
    "signout": Page("Removes the key of the server from its account of ollama.com.", (("signout", "sign out"),)),
    "list": Page(
        "Lists the stored models, the most recently changed first; with a word, those that begin with it.",
        (("list", "all models"), ("list llama", "those whose names begin with llama")),
    ),
    "ps": Page(
        "Lists the loaded models: how much memory they take, on which kind of processor, and until when they stay.",
        (("ps", "what is loaded"),),
    ),
    "cp": Page(
        "Gives a model a second name. No weights are copied; each name can be changed or removed by itself.",
        (("cp llama3.2 me/model", "a name under which it can be pushed"),),
    ),
    "rm": Page(
        "Removes models, and the files that no other model uses. A model that is loaded is stopped first.",
        (("rm old", "one model"), ("rm one two", "several")),
    ),
    "launch": Page(
        "Tells what to put into the settings of another program so that it uses this server; it changes no files.",
        (("launch", "the addresses of the APIs"),),
    ),
    "gpus": Page(
        "Lists the devices that models can run on, with their memory and how busy they are.",
        (("gpus", "all devices"),),
    ),
    "plan": Page(
        "Shows where a model would be put, how much memory each device would need and how fast it would be, without "
        "loading it. With --devices no server is asked, and MODEL may also be a GGUF file or a file with its shape.",
        (
            ("plan llama3.2", "the plan that would be taken"),
            ("plan shape.yaml --devices house.yaml", "a plan for devices that a file describes"),
        ),
    ),
    "benchmark": Page(
        "Sends requests to the server and prints how many tokens it makes in a second, and how long the first takes.",
        (("benchmark --help", "what can be varied"),),
    ),
    "config": Page(
        "Shows the settings of pollama, or changes one in the configuration file.",
        (("config show", "all settings"),),
    ),
    "migrate-models": Page(
        "Moves loaded models to devices that suit them better, where there are such.",
        (("migrate-models", "look for better places"),),
    ),
    "completion": Page(
        """Prints the script by which a shell completes commands, flags and the names of stored models.""",
        (
            ("completion bash > ~/.local/share/bash-completion/completions/pollama", "bash"),
            ('completion zsh > "${fpath[1]}/_pollama"', "zsh"),
            ("completion fish > ~/.config/fish/completions/pollama.fish", "fish"),
        ),
    ),
    "help": Page("Prints the help of the program or of a command.", (("help run", "the help of run"),)),
}
