"""The conversation, driven through a pseudo-terminal."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pexpect
import pytest

from pollama.types.json import Json
from tests.cli.scripted import Script, ScriptedServer

LOADED = {"response": "", "done": True, "done_reason": "load"}
DESCRIPTION: Json = {
    "details": {"family": "llama", "parameter_size": "1B", "quantization_level": "Q8_0", "parent_model": ""},
    "model_info": {},
    "capabilities": ["completion"],
    "modelfile": "FROM /x",
    "parameters": 'stop                           "a"',
    "template": "{{ .Prompt }}",
}

_PASTE_OFF = "\x1b[?2004l"
"""What the terminal is sent when a line has been entered."""


def reply(text: str, **fields: Json) -> tuple[Json, Json]:
    """Return the records of an answer."""
    message = {"role": "assistant", "content": text} | fields
    return {"message": message, "done": False}, {"message": {"role": "assistant", "content": ""}, "done": True}


class Terminal:
    """A ``pollama run m`` at a terminal."""

    def __init__(self, server: ScriptedServer, home: Path, *flags: str, **environment: str) -> None:
        self._child = pexpect.spawn(
            sys.executable,
            ["-m", "pollama", "run", "m", *flags],
            env={
                "HOME": str(home),
                "OLLAMA_HOST": server.address,
                "TERM": "xterm",
                "PATH": os.environ["PATH"],
                **environment,
            },
            encoding="utf-8",
            timeout=60,
            dimensions=(24, 80),
        )
        self.shown = self._child.logfile_read = io.StringIO()

    def __enter__(self) -> Self:
        self.expect(">>> ")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.close(force=True)

    def send(self, keys: str) -> None:
        """Press keys."""
        self._child.send(keys)

    def expect(self, text: str) -> None:
        """Wait for a text on the screen."""
        self._child.expect_exact(text)

    def enter(self, line: str, answer: str, prompt: str = ">>> ") -> None:
        """Enter a line; wait for what it answers and for the next prompt."""
        self.send(f"{line}\r")
        self.expect(_PASTE_OFF)
        self.expect(answer)
        self.expect(prompt)

    def leave(self, keys: str = "/bye\r") -> int:
        """Leave and return the exit status."""
        self.send(keys)
        return self.end()

    def end(self) -> int:
        """Return the exit status of a command that ends by itself."""
        self._child.expect(pexpect.EOF)
        self._child.close()
        assert isinstance(self._child.exitstatus, int)
        return self._child.exitstatus


@pytest.fixture
def ready(script: Script) -> Script:
    """A server with a model that answers ``Hi.``"""
    return script.on("POST /api/show", DESCRIPTION).on("POST /api/generate", LOADED).on("POST /api/chat", *reply("Hi."))


@pytest.fixture
def terminal(server: ScriptedServer, home: Path, ready: Script) -> Iterator[Terminal]:
    with Terminal(server, home) as opened:
        yield opened


def contents(script: Script) -> list[list[str]]:
    """Return the texts of the messages of every chat request."""
    return [[message["content"] for message in body["messages"]] for body in script.bodies("/api/chat")]


def test_a_conversation_sends_its_whole_history(terminal: Terminal, script: Script) -> None:
    terminal.enter("hello", "Hi.")
    terminal.enter("again", "Hi.")
    assert terminal.leave() == 0
    assert contents(script) == [["hello"], ["hello", "Hi.", "again"]]
    assert script.bodies("/api/generate") == [{"model": "m", "prompt": ""}]


def test_the_terminal_is_not_asked_where_the_cursor_is(terminal: Terminal) -> None:
    """Not all terminals answer, and prompt_toolkit prints a warning then."""
    terminal.enter("hello", "Hi.")
    assert terminal.leave() == 0
    assert "\x1b[6n" not in terminal.shown.getvalue()


def test_ctrl_d_leaves(terminal: Terminal) -> None:
    assert terminal.leave("\x04") == 0


def test_ctrl_c_at_the_prompt_explains_how_to_leave(terminal: Terminal) -> None:
    terminal.send("half a line\x03")
    terminal.expect("Use Ctrl + d or /bye to exit.")
    terminal.expect(">>> ")
    assert terminal.leave() == 0


def test_triple_quotes_span_lines(terminal: Terminal, script: Script) -> None:
    terminal.send('"""one\r')
    terminal.expect("... ")
    terminal.send("two\r")
    terminal.enter('three"""', "Hi.")
    terminal.enter('"""alone"""', "Hi.")
    assert [texts[-1] for texts in contents(script)] == ["one\ntwo\nthree", "alone"]


def test_backspace_joins_the_lines_of_a_block(terminal: Terminal, script: Script) -> None:
    terminal.enter('"""one\r\x7ftwo"""', "Hi.")
    assert contents(script) == [["onetwo"]]


def test_ctrl_j_begins_a_new_line(terminal: Terminal, script: Script) -> None:
    terminal.enter("one\ntwo", "Hi.")
    assert contents(script) == [["one\ntwo"]]


def test_a_pasted_text_is_one_message(terminal: Terminal, script: Script) -> None:
    terminal.enter("\x1b[200~one\ntwo\x1b[201~", "Hi.")
    assert contents(script) == [["one\ntwo"]]


def test_an_interrupt_cancels_only_the_answer(server: ScriptedServer, home: Path, script: Script) -> None:
    script.on("POST /api/show", DESCRIPTION).on("POST /api/generate", LOADED)
    script.on("POST /api/chat", reply("Once upon")[0], ending="endless").on("POST /api/chat", *reply("Hi."))
    with Terminal(server, home) as terminal:
        terminal.send("tell me\r")
        terminal.expect("Once upon")
        terminal.send("\x03")
        terminal.expect(">>> ")
        assert script.canceled.wait(30)
        terminal.enter("go on", "Hi.")
        assert terminal.leave() == 0
    assert contents(script)[-1] == ["tell me", "go on"]


def test_thinking_is_shown_and_remembered(server: ScriptedServer, home: Path, script: Script) -> None:
    script.on("POST /api/show", DESCRIPTION | {"capabilities": ["completion", "thinking"]})
    script.on("POST /api/generate", LOADED)
    script.on("POST /api/chat", reply("", thinking="Hm.")[0], *reply("Yes."))
    with Terminal(server, home) as terminal:
        terminal.send("hello\r")
        terminal.expect("Thinking...")
        terminal.expect("Hm.")
        terminal.expect("...done thinking.")
        terminal.expect("Yes.")
        terminal.expect(">>> ")
        terminal.enter("/set nothink", "Set 'nothink' mode.")
        terminal.enter("/set think high", "Set 'think' mode to 'high'.")
        terminal.enter("more", "Yes.")
    first, second = script.bodies("/api/chat")
    assert (first["think"], second["think"]) == (True, "high")
    assert second["messages"][1] == {"role": "assistant", "content": "Yes.", "thinking": "Hm."}


def test_settings_go_into_requests(terminal: Terminal, script: Script) -> None:
    terminal.enter("/set parameter temperature 0.5", "Set parameter 'temperature' to '0.5'")
    terminal.enter("/set parameter stop a b", "Set parameter 'stop' to 'a, b'")
    terminal.enter("/set parameter top_k x", 'Couldn\'t set parameter: "invalid int value [x]"')
    terminal.enter("/set parameter nope 1", "Couldn't set parameter: \"unknown parameter 'nope'\"")
    terminal.enter("/set parameter", "Available Parameters:")
    terminal.enter("/set format json", "Set format to 'json' mode.")
    terminal.enter("/set system Be brief.", "Set system message.")
    terminal.enter("hello", "Hi.")
    (request,) = script.bodies("/api/chat")
    assert request["options"] == {"temperature": 0.5, "stop": ["a", "b"]}
    assert request["format"] == "json"
    assert request["messages"][0] == {"role": "system", "content": "Be brief."}
    terminal.enter("/show parameters", "User defined parameters:\r\n  temperature                    0.5\r\n")
    terminal.enter("/show system", "Be brief.")


ANSWERS = [
    ("/set wordwrap", "Set 'wordwrap' mode."),
    ("/set nowordwrap", "Set 'nowordwrap' mode."),
    ("/set verbose", "Set 'verbose' mode."),
    ("/set quiet", "Set 'quiet' mode."),
    ("/set noformat", "Disabled format."),
    ("/set format xml", "Invalid or missing format. For 'json' mode use '/set format json'"),
    ("/set think", "Set 'think' mode.\r\nwarning: model \"m\" does not support thinking output"),
    ("/set nonsense", "Unknown command '/set nonsense'. Type /? for help"),
    ("/set", "/set system <string>"),
    ("/show", "/show modelfile"),
    ("/show info", "  Model\r\n    architecture    llama    "),
    ("/show modelfile", "FROM /x"),
    ("/show license", "No license was specified for this model."),
    ("/show system", "No system message was specified for this model."),
    ("/show template", "{{ .Prompt }}"),
    ("/show parameters", 'Model defined parameters:\r\n  stop                           "a"'),
    ("/show nonsense", "Unknown command '/show nonsense'. Type /? for help"),
    ("/clear", "Cleared session context"),
    ("/load", "Usage:\r\n  /load <modelname>"),
    ("/save", "Usage:\r\n  /save <modelname>"),
    ("/?", 'Use """ to begin a multi-line message.'),
    ("/help shortcuts", "Ctrl + j"),
    ("/nonsense", "Unknown command '/nonsense'. Type /? for help"),
]


def test_commands_answer(terminal: Terminal) -> None:
    for line, answer in ANSWERS:
        terminal.enter(line, answer)
    assert terminal.leave("/exit\r") == 0


def test_a_system_message_survives_clearing(terminal: Terminal, script: Script) -> None:
    terminal.send('/set system """You are\r')
    terminal.expect("... ")
    terminal.enter('kind."""', "Set system message.")
    terminal.enter("hello", "Hi.")
    terminal.enter("/clear", "Cleared session context")
    terminal.enter("again", "Hi.")
    assert contents(script)[-1] == ["You are\nkind.", "again"]


def test_a_session_is_saved_as_a_model(terminal: Terminal, script: Script) -> None:
    script.on("POST /api/create", {"error": "invalid model name"}, status=400).on(
        "POST /api/create", {"status": "success"}
    )
    terminal.enter("/set system Be brief.", "Set system message.")
    terminal.enter("hello", "Hi.")
    terminal.enter("/save a b", "Usage:")
    terminal.enter("/save !", "error: The model name '!' is invalid")
    terminal.enter("/save mine", "Created new model 'mine'")
    assert script.bodies("/api/create")[-1] == {
        "model": "mine",
        "from": "m",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Hi."}],
    }


def test_another_model_begins_a_new_conversation(terminal: Terminal, script: Script) -> None:
    terminal.enter("hello", "Hi.")
    terminal.enter("/load other", "Loading model 'other'")
    terminal.enter("hello", "Hi.")
    assert [body["model"] for body in script.bodies("/api/chat")] == ["m", "other"]
    assert contents(script)[-1] == ["hello"]


def test_the_messages_of_a_model_are_shown_first(server: ScriptedServer, home: Path, script: Script) -> None:
    messages = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}]
    script.on("POST /api/show", DESCRIPTION | {"messages": messages}).on("POST /api/generate", LOADED)
    with Terminal(server, home) as terminal:
        terminal.expect("Who?\r\nMe.\r\n\r\n")


def test_an_error_that_more_talk_cannot_mend_ends_the_conversation(
    server: ScriptedServer, home: Path, script: Script
) -> None:
    script.on("POST /api/show", DESCRIPTION).on("POST /api/generate", LOADED)
    script.on("POST /api/chat", {"error": '"m" does not support thinking'}, status=400)
    script.on("POST /api/chat", {"error": "boom"}, status=500)
    with Terminal(server, home) as terminal:
        terminal.enter("hello", 'error: 400 Bad Request: "m" does not support thinking')
        terminal.send("hello\r")
        terminal.expect("Error: 500 Internal Server Error: boom")
        assert terminal.end() == 1
    assert contents(script) == [["hello"], ["hello"]]


def test_the_history_lasts_from_one_run_to_the_next(server: ScriptedServer, home: Path, ready: Script) -> None:
    with Terminal(server, home) as terminal:
        terminal.enter("remember me", "Hi.")
        terminal.leave()
    file = home / ".ollama" / "history"
    assert file.read_text() == "remember me\n/bye\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with Terminal(server, home) as terminal:
        terminal.enter("\x1b[A\x1b[A", "Hi.")
        terminal.leave()
    assert contents(ready) == [["remember me"], ["remember me"]]


def test_the_history_has_a_hundred_entries(server: ScriptedServer, home: Path, ready: Script) -> None:
    file = home / ".ollama" / "history"
    file.parent.mkdir()
    file.write_text("".join(f"entry {number}\n" for number in range(150)))
    with Terminal(server, home) as terminal:
        terminal.leave()
    assert file.read_text().splitlines() == [*(f"entry {number}" for number in range(51, 150)), "/bye"]


def test_no_history_is_written_when_none_is_wanted(server: ScriptedServer, home: Path, ready: Script) -> None:
    with Terminal(server, home, OLLAMA_NOHISTORY="1") as terminal:
        terminal.enter("secret", "Hi.")
        terminal.enter("/set history", "")
        terminal.enter("open", "Hi.")
        terminal.leave()
    assert (home / ".ollama" / "history").read_text() == "open\n/bye\n"


def test_an_editor_may_write_the_message(server: ScriptedServer, home: Path, ready: Script) -> None:
    editor = home / "editor"
    editor.write_text('#!/bin/sh\nprintf "written elsewhere\\n" > "$1"\n')
    editor.chmod(0o755)
    with Terminal(server, home, OLLAMA_EDITOR=str(editor)) as terminal:
        terminal.send("draft\x07")
        terminal.expect("written elsewhere")
        terminal.enter("", "Hi.")
    assert contents(ready) == [["written elsewhere"]]


def test_a_missing_editor_is_named(server: ScriptedServer, home: Path, ready: Script) -> None:
    with Terminal(server, home, OLLAMA_EDITOR="/no/such/editor") as terminal:
        terminal.send("\x07")
        terminal.expect('error: editor "/no/such/editor" not found, set OLLAMA_EDITOR')
