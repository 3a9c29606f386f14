"""The socket that systemd passed to this process, if it started it because somebody connected.

Its protocol is two variables and a descriptor (sd_listen_fds(3)): ``LISTEN_PID`` tells whom the
sockets are for, ``LISTEN_FDS`` how many there are, and they begin at descriptor 3.
"""

import functools
import os
import socket

from zeropoint.errors import SettingsError

_FIRST = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


@functools.cache
def passed() -> socket.socket | None:
    """Returns the socket that was passed; the variables are unset, so that no child has them.

    Raises:
        SettingsError: more than one was passed, or one that no HTTP comes by.
    """
    told = {name: os.environ.pop(name, "") for name in _VARIABLES}
    if told["LISTEN_PID"] != str(os.getpid()):  # those of a process before this one
        return None
    text = told["LISTEN_FDS"]
    if not (text.isascii() and text.isdigit()):
        raise SettingsError("LISTEN_FDS: expected a number of sockets, got another text")
    if int(text) == 0:
        return None
    if int(text) > 1:
        raise SettingsError(f"expected one socket from systemd (one ListenStream=), got {text}")
    return _checked()


def refuse_open(api_key: str) -> None:
    """Refuses a passed socket that other machines can reach, unless a key is asked for.

    Raises:
        SettingsError: so it is, or what `passed` says.
    """
    found = passed()
    if found is None or api_key or is_loopback(str(found.getsockname()[0])):
        return
    raise SettingsError(
        f"expected ZEROPOINT_API_KEY, as others can reach the passed socket at {place(found)};"
        " set one in the service's environment file, or let the socket unit listen at 127.0.0.1"
    )


def is_loopback(host: str) -> bool:
    """Tells whether only this machine reaches an address; for what is no address it is False."""
    from ipaddress import IPv6Address, ip_address  # not on the way to a prediction

    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def place(bound: socket.socket) -> str:
    """Returns ``host:port`` of a socket as it stands in a URL."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _checked() -> socket.socket:
    try:
        found = socket.socket(fileno=_FIRST)
    except OSError as error:
        raise SettingsError(
            f"expected a socket from systemd at descriptor {_FIRST}: {error.strerror}"
        ) from None
    found.set_inheritable(False)
    if found.family not in (socket.AF_INET, socket.AF_INET6):
        problem = f"of another family, {socket.AddressFamily(found.family).name}"
    elif found.type != socket.SOCK_STREAM:
        problem = "that takes no connections (ListenStream= makes one)"
    elif not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        problem = "that does not listen (Accept=no makes one)"
    else:
        return found
    found.close()
    raise SettingsError(f"expected a TCP socket from systemd that listens, got one {problem}")
