"""What several verbs take, and how a verb shows its examples."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from zeropoint.artifact import Repository


class _JsonObject(click.ParamType):  # type: ignore[type-arg]
    """A JSON object, as a dict."""

    name = "json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """Returns the object; a text that is none ends the command."""
        try:
            found: dict[str, Any] = msgspec.json.decode(value, type=dict[str, Any])
        except (ValueError, RecursionError):  # also of bytes that are no UTF-8, and of deep nesting
            self.fail("expected a JSON object", param, ctx)
        return found


def complete_model(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Returns the repository's models whose names begin so."""
    from click.shell_completion import CompletionItem

    from zeropoint import settings
    from zeropoint.artifact import open_repository
    from zeropoint.errors import ZeropointError

    try:
        names = open_repository(settings.from_environment()).names()
    except ZeropointError:  # a shell has no place for it
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def chosen_models(repository: "Repository", names: Sequence[str]) -> Sequence[str]:
    """Returns the models that were named; without a name, all of the repository.

    Raises:
        SettingsError: there is none.
    """
    from zeropoint.errors import SettingsError

    if found := names or repository.names():
        return found
    raise SettingsError(
        f"expected a model in {repository.location}, got none"
        " (ZEROPOINT_MODELS names the repository)"
    )


def examples(*commands: str) -> str:
    """Returns the end of a verb's help: commands to try, as they are typed."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


model = click.option(
    "--model",
    default="",
    shell_complete=complete_model,
    help="The model's name; by default the default model.",
)
parameters = click.option(
    "--parameters",
    type=_JsonObject(),
    default="{}",
    metavar="JSON",
    help="What the model lets vary, for instance '{\"top_k\": 1}'.",
)
