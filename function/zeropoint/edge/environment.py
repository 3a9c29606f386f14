"""The settings as a file that systemd reads for a service (EnvironmentFile=).

Only the owner may read it, as there may be a key in it.
"""

from collections.abc import Mapping

from zeropoint import settings
from zeropoint.edge.units import MARK
from zeropoint.errors import SettingsError

NAME = "zeropoint.env"
MODE = 0o600
# Others that the libraries of Google Cloud read.
_ALSO = ("GOOGLE_CLOUD_PROJECT",)
_ESCAPED = str.maketrans({one: "\\" + one for one in '\\"$`'})


def kept(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the settings of an environment that a device's function is to have."""
    own = [row.variable for row in settings.table() if row.variable.startswith(settings.PREFIX)]
    return {name: environment[name] for name in (*own, *_ALSO) if environment.get(name)}


def text(values: Mapping[str, str]) -> str:
    """Returns the file's text.

    Raises:
        SettingsError: a value has what such a file cannot hold.
    """
    lines = [MARK]
    for name, value in values.items():
        if not value.isprintable():
            raise SettingsError(f"{name}: expected text without control characters, got others")
        lines.append(f'{name}="{value.translate(_ESCAPED)}"')
    return "\n".join(lines) + "\n"
