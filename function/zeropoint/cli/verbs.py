"""The verbs: one module each, imported when it is called."""

import importlib

import click

from zeropoint import __version__

_SECTIONS = {
    "Serve": {
        "serve": "Serve the models over HTTP.",
        "send": "Send a file or an upload's news, as a trigger would.",
    },
    "Predict here": {
        "predict": "Predict for a few files.",
        "chat": "Talk to a model that writes.",
        "batch": "Predict for millions of rows, and go on after any stop.",
        "watch": "Predict for each file that comes into a folder, once.",
    },
    "Models": {
        "new": "Make an .onnx file an artifact that serves.",
        "check": "Verify models: files, digests, known answer.",
        "optimize": "Make a model smaller and quicker, and prove it still right.",
        "tune": "Measure which max_batch pays for a model.",
        "bench": "Measure a model, and what 1,000 predictions cost.",
        "models": "List, update and roll back the repository's models.",
    },
    "On a device": {
        "bundle": "Pack all that a device without a network needs.",
        "install-edge": "Have systemd start the function when it is asked.",
        "sync": "Send the results that waited for a network.",
    },
    "This command": {
        "settings": "Print every setting with its value.",
        "completion": "Have the shell complete verbs, options and models.",
    },
}
_VERBS = {verb for section in _SECTIONS.values() for verb in section}


class _Verbs(click.Group):
    """A group that imports a verb when it is called, and lists all without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb for section in _SECTIONS.values() for verb in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        command: click.Command = importlib.import_module(
            f"zeropoint.cli.{cmd_name.replace('-', '_')}"
        ).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, _VERBS))
        for title, section in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{verb:<{width}}", told) for verb, told in section.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zeropoint")
def group() -> None:
    """Serverless, scale-to-zero inference for ONNX models.

    Settings are read from the environment: zeropoint settings prints them. Each verb has examples:
    zeropoint VERB --help.
    """
