"""The units that have systemd start the function when somebody connects, and nothing before.

They are texts of systemd.socket(5), systemd.service(5) and systemd.timer(5). The service may
write its own state only, and where no setting names a target it has no network but the socket
that it is given.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from zeropoint.settings import Settings

MARK = "# Written by zeropoint install-edge, which writes it anew: change it by a drop-in file."
SOCKET, SERVICE = "zeropoint.socket", "zeropoint.service"
SYNC, TIMER = "zeropoint-sync.service", "zeropoint-sync.timer"
LEAST_IDLE_S = 2.0  # else systemd would give up a busy device: see StartLimitBurst
_MARGIN_S = 5  # after the drain, until systemd kills it
_REMOTE = ("gs://", "pubsub://")
_COLON = "\\:"  # of a path; others stand between two
_HOMES = ("/home", "/root", "/run/user")
_HIDDEN = (*_HOMES, "/tmp", "/var/tmp")  # noqa: S108 - named, not used

# What a user's systemd can do too, which has no right to mount or to make namespaces.
_CONFINED = """\
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
UMask=0077
"""
_ISOLATED = """\
DynamicUser=yes
User=zeropoint
CapabilityBoundingSet=
DevicePolicy=closed
KeyringMode=private
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
"""


class Plan(NamedTuple):
    """What the units are made of."""

    settings: Settings
    command: Sequence[str]  # that is `zeropoint`
    environment: Path  # the file with the settings
    listen: str  # HOST:PORT
    user: bool  # whether they are a user's own
    needed: Sequence[Path]  # folders that are read
    credentials: str = ""  # of Google Cloud, a file


def texts(plan: Plan) -> dict[str, str]:
    """Returns each unit's text, by its name."""
    found = {SERVICE: _service(plan), SOCKET: _socket(plan)}
    if has_sync(plan.settings):
        found |= {SYNC: _sync(plan), TIMER: _timer()}
    return found


def has_sync(settings: Settings) -> bool:
    """Tells whether results may wait on the device, to be sent later."""
    return settings.results.startswith(_REMOTE) and bool(settings.outbox)


def has_network(settings: Settings) -> bool:
    """Tells whether a setting names a target elsewhere."""
    places = (settings.models, settings.results)
    return (
        any(place.startswith(_REMOTE) for place in places)
        or bool(settings.buckets)
        or settings.logging == "cloud"
    )


def _socket(plan: Plan) -> str:
    return f"""\
{MARK}
[Unit]
Description=Zeropoint, at rest until somebody connects

[Socket]
ListenStream={plan.listen}
FreeBind=yes

[Install]
WantedBy=sockets.target
"""


def _service(plan: Plan) -> str:
    # As long as somebody waits systemd tries to start it: where it cannot start, not without end.
    return f"""\
{MARK}
[Unit]
Description=Zeropoint, inference for ONNX models
Requires={SOCKET}
After={SOCKET}
StartLimitIntervalSec=30
StartLimitBurst=20

[Service]
Type=exec
ExecStart={_words([*plan.command, "serve"])}
Restart=no
TimeoutStopSec={math.ceil(plan.settings.drain_s) + _MARGIN_S}
{_shared(plan, has_network(plan.settings))}"""


def _sync(plan: Plan) -> str:
    return f"""\
{MARK}
[Unit]
Description=Zeropoint, sending the results that waited for a network

[Service]
Type=oneshot
ExecStart={_words([*plan.command, "sync"])}
TimeoutStartSec=1h
{_shared(plan, True)}"""


def _timer() -> str:
    return f"""\
{MARK}
[Unit]
Description=Zeropoint, sending the results that waited for a network

[Timer]
OnBootSec=2min
OnUnitInactiveSec=5min
RandomizedDelaySec=30s

[Install]
WantedBy=timers.target
"""


def _shared(plan: Plan, network: bool) -> str:
    """Returns what the two services have in common: settings, folders and confinement."""
    lines = [
        'Environment="ZEROPOINT_CACHE=%C/zeropoint"',
        'Environment="ZEROPOINT_RESULTS=file://%S/zeropoint/results"',
        f"EnvironmentFile={_specifier_free(str(plan.environment))}",  # before those above
        "StandardOutput=journal",
        "StandardError=journal",
        "StateDirectory=zeropoint",
        "StateDirectoryMode=0700",
        "CacheDirectory=zeropoint",
        "CacheDirectoryMode=0700",
    ]
    if network:
        lines.append("RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX")
    else:  # the socket that is passed needs neither
        lines.append("RestrictAddressFamilies=AF_UNIX")
        lines += [] if plan.user else ["PrivateNetwork=yes"]
    if not plan.user:
        lines += _homes(plan.needed)
        if plan.credentials:  # which the service's own user could not read
            lines += [
                f"LoadCredential=google.json:{_specifier_free(plan.credentials)}",
                'Environment="GOOGLE_APPLICATION_CREDENTIALS=/run/credentials/%n/google.json"',
            ]
    return "\n".join(lines) + "\n" + _CONFINED + ("" if plan.user else _ISOLATED)


def _homes(needed: Sequence[Path]) -> list[str]:
    """Returns what hides the homes, but for the folders in them that are read."""
    shown = sorted({str(one) for path in needed for one in (path, path.resolve()) if _hidden(one)})
    in_homes = any(_below(Path(one), _HOMES) for one in shown)
    return [
        f"ProtectHome={'tmpfs' if in_homes else 'yes'}",
        *(f"BindReadOnlyPaths={_word(path.replace(':', _COLON))}" for path in shown),
    ]


def _hidden(path: Path) -> bool:
    return _below(path, _HIDDEN)


def _below(path: Path, folders: Sequence[str]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _words(arguments: Sequence[str]) -> str:
    """Returns a command as systemd reads it, without its specifiers and variables."""
    return " ".join(_word(argument).replace("$", "$$") for argument in arguments)


def _word(text: str) -> str:
    plain = _specifier_free(text)
    if plain and not set(plain) & set(" \t'\"\\;"):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _specifier_free(text: str) -> str:
    return text.replace("%", "%%")
