"""The verbs: one module each, imported when it is called."""

import importlib

import click

from zeropoint import __version__

_VERBS = {
    "serve": "Serve the models over HTTP.",
    "new": "Make an .onnx file an artifact that serves.",
    "predict": "Predict in this process, without a server.",
    "batch": "Predict for millions of rows, and go on after any stop.",
    "send": "Send a file or an upload's news, as a trigger would.",
    "models": "List the models of the repository.",
    "check": "Verify models: files, digests, known answer.",
    "optimize": "Make a model smaller and quicker, and prove that it is still right.",
    "tune": "Measure which max_batch pays for a model.",
    "bench": "Measure a model, and what 1,000 predictions cost.",
    "settings": "Print every setting with its value.",
}


class _Verbs(click.Group):
    """A group that imports a verb when it is called, and lists all without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        command: click.Command = importlib.import_module(f"zeropoint.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zeropoint")
def group() -> None:
    """Serverless, scale-to-zero inference for ONNX models.

    Settings are read from the environment: zeropoint settings prints them.
    """
