"""zeropoint chat: a conversation with a model that writes, in the terminal."""

import signal
import sys
import time
from contextlib import suppress
from typing import Any, cast

import click

from zeropoint import api, settings, tasks
from zeropoint.artifact import Artifact, open_repository
from zeropoint.catalog import Catalog
from zeropoint.cli import options
from zeropoint.cli.conversation import Here, Partner, There
from zeropoint.errors import SettingsError, ZeropointError
from zeropoint.settings import Settings

_TASK = "text-generation"
_INTERRUPTED = 128 + signal.SIGINT
_PROMPT, _MORE = "> ", ". "
_HELP = """\
/new   begin anew       /exit, Ctrl-D  end
/help  tell this        Ctrl-C         end the answer
A line that ends in \\ goes on in the next one."""
# What a model writes is text: no control character of it moves a terminal's cursor.
_CONTROLS = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])
_ENDS = {
    "length": "it has as many tokens as it may (--max-tokens)",
    "deadline": "it took as long as it may (ZEROPOINT_MAX_WRITING_S)",
}


@click.command(
    "chat",
    epilog=options.examples(
        "zeropoint chat",
        'zeropoint chat "What is the capital of France?" --once',
        "zeropoint chat --system 'Answer in one sentence.' --temperature 0.7 --seed 1",
        "zeropoint chat --url https://my-function.run.app < question.txt",
    ),
)
@click.argument("message", default="")
@options.model
@click.option("--url", default="", help="Where the model is served; by default it is loaded here.")
@click.option("--system", default="", metavar="TEXT", help="What the model is told before all.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Most tokens of an answer.")
@click.option(
    "--temperature",
    type=click.FloatRange(0.0, 2.0),
    help="How much chance there is; 0, the default: none.",
)
@click.option("--top-p", type=click.FloatRange(0.0, 1.0, min_open=True), help="Of what is likely.")
@click.option("--top-k", type=click.IntRange(min=0), help="Of the likeliest; 0: all.")
@click.option(
    "--repetition-penalty",
    type=click.FloatRange(0.0, 2.0, min_open=True),
    help="Above 1 the model repeats itself less.",
)
@click.option("--seed", type=click.IntRange(min=0), help="The same one gives the same answers.")
@click.option("--stop", multiple=True, metavar="TEXT", help="Before which an answer ends.")
@click.option("--once", is_flag=True, help="Answer MESSAGE, and end.")
def command(message: str, model: str, url: str, system: str, once: bool, **parameters: Any) -> None:
    """Talk to a model that writes; begin with MESSAGE, if there is one.

    Without a terminal it answers once: MESSAGE, or all that stdin has; nothing but the answer is
    on stdout.

    Without --model it is the default model; if that writes no text, the first one that does. A
    function at --url that asks for a key is given that of ZEROPOINT_API_KEY.
    """
    chosen = settings.from_environment()
    if url and not url.startswith(("http://", "https://")):
        raise click.BadParameter("expected http://… or https://…", param_hint="--url")
    alone = once or not sys.stdin.isatty()
    if alone and not (message := message or _piped()).strip():
        raise click.UsageError("expected a MESSAGE, got none")
    given = {name: value for name, value in parameters.items() if value not in (None, ())}
    partner = There(url, model, given, chosen.api_key) if url else _load(model, given, chosen)
    chat = _Chat(partner, system)
    if alone:
        try:
            chat.say(message)
        except KeyboardInterrupt:
            raise SystemExit(_INTERRUPTED) from None
        return
    _talk(chat, message)


class _Chat:
    """A conversation.

    Args:
        partner: Who answers.
        system: What is told before all; empty: nothing.
    """

    def __init__(self, partner: Partner, system: str) -> None:
        self._partner = partner
        self._first = [{"role": "system", "content": system}] if system else []
        self.said: list[dict[str, str]] = []

    def say(self, message: str) -> None:
        """Prints the answer to a message as it comes.

        Both are a part of the conversation as soon as a word of the answer is there.

        Raises:
            ZeropointError: there is none, or not to its end.
            KeyboardInterrupt: it was ended.
        """
        asked = [*self.said, {"role": "user", "content": message}]
        began_s = time.monotonic()
        first_s = 0.0
        pieces: list[str] = []
        try:
            with self._partner.answer([*self._first, *asked]) as reply:
                for piece in reply:
                    first_s = first_s or time.monotonic()
                    pieces.append(piece)
                    click.echo(_shown(piece), nl=False)
        finally:
            if pieces:
                self.said = [*asked, {"role": "assistant", "content": "".join(pieces)}]
                click.echo()
        ended_s = time.monotonic()
        _tell(_status(reply.completion_tokens, (first_s or ended_s) - began_s, ended_s - began_s))
        if problem := _ENDS.get(reply.finish_reason or ""):
            _tell(f"the answer is cut short: {problem}")


def _talk(chat: _Chat, message: str) -> None:
    """Answers what is typed, until that ends."""
    with suppress(ImportError):  # it is there or not, as Python was built
        import readline  # noqa: F401 - input() has keys and a history by it
    if not message:
        _tell("/help tells more, Ctrl-D ends")
    while True:
        try:
            message = message or _typed()
            if message == "/exit":
                return
            if message == "/new":
                chat.said = []
            elif message == "/help":
                click.echo(_HELP, err=True)
            elif message.strip():
                chat.say(message)
        except EOFError:
            click.echo(err=True)
            return
        except KeyboardInterrupt:
            click.echo(err=True)
        except UnicodeDecodeError:
            click.echo("expected a text in UTF-8, got other bytes", err=True)
        except ZeropointError as error:
            click.echo(error.message, err=True)
            if chat.said:
                click.echo("/new begins anew, without what was said so far", err=True)
        message = ""


def _typed() -> str:
    """Returns what is typed; raises EOFError at its end."""
    text = _line(_PROMPT)
    while text.endswith("\\"):
        text = f"{text[:-1]}\n{_line(_MORE)}"
    return text.strip() if text.startswith("/") else text


def _line(prompt: str) -> str:
    if sys.stdout.isatty():
        return input(prompt)
    click.echo(prompt, nl=False, err=True)
    return input()


def _piped() -> str:
    """Returns what stdin has; of a terminal nothing."""
    if sys.stdin.isatty():
        return ""
    try:
        return sys.stdin.buffer.read().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError("expected a MESSAGE in UTF-8, got other bytes") from None


def _shown(piece: str) -> str:
    return piece.translate(_CONTROLS) if sys.stdout.isatty() else piece


def _tell(text: str) -> None:
    """Says something beside the conversation, if somebody looks."""
    if sys.stderr.isatty():
        click.secho(text, dim=True, err=True)


def _status(tokens: int, first_s: float, all_s: float) -> str:
    told = f"{tokens} token{'s' if tokens != 1 else ''}, the first one after {first_s:.2f} s"
    if tokens > 1 and all_s > first_s:
        told += f", {(tokens - 1) / (all_s - first_s):.1f} tokens/s"
    return told


def _load(model: str, parameters: dict[str, Any], chosen: Settings) -> Here:
    loaded = api.load(model or _default(chosen), limits=chosen)
    if not tasks.writes(loaded.task):
        raise click.BadParameter(
            f"expected a model that writes text, got {loaded.manifest.name},"
            f" a model of {loaded.manifest.task}",
            param_hint="--model",
        )
    from zeropoint.writer import Writer

    return Here(cast(Writer, loaded), parameters)


def _default(chosen: Settings) -> str:
    """Returns the default model's name, or of the first model that writes."""
    repository = open_repository(chosen)
    names = repository.names()
    with suppress(ZeropointError):  # there is none
        names = [Catalog(repository, chosen).default_name(), *names]
    for name in names:
        with suppress(ZeropointError):  # its manifest is wrong
            if Artifact(repository, name).manifest.task == _TASK:
                return name
    raise SettingsError(
        f"expected a model that writes text in {repository.location}, got none"
        " (ZEROPOINT_MODELS names the repository)"
    )
