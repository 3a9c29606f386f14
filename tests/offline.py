"""Run in a network namespace of its own: serves, predicts, and tells who looked for more.

    unshare --net python offline.py serve|framework

Prints JSON: the label of a photo, and how many packets found no way, before and after one was sent.
"""

import contextlib
import fcntl
import json
import socket
import struct
import sys
from pathlib import Path

import requests

from servers import FRAMEWORK, ROOT, SERVE, Server

_COMMANDS = {"serve": SERVE, "framework": FRAMEWORK}
_CAT = ROOT / "model_artifacts" / "efficientnet-lite0" / "check" / "cat.jpg"
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_ELSEWHERE = "192.0.2.1"  # of a network that is nobody's: RFC 5737


def raise_loopback() -> None:
    """Sets the loopback device up, which is down in a new namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        asked = struct.pack("16sh", b"lo", 0)
        (flags,) = struct.unpack("16xh", fcntl.ioctl(control, _SIOCGIFFLAGS, asked)[:18])
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | _IFF_UP))


def lost() -> int:
    """Returns how often this namespace had no route, or a datagram met nobody, as names' do."""
    found = {}
    lines = Path("/proc/self/net/snmp").read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        kind = names.split(":")[0]
        for name, value in zip(names.split()[1:], values.split()[1:], strict=True):
            found[f"{kind}{name}"] = int(value)
    for line in Path("/proc/self/net/snmp6").read_text().splitlines():
        name, value = line.split()
        found[name] = int(value)
    wanted = ("IpOutNoRoutes", "Ip6OutNoRoutes", "UdpNoPorts", "Udp6NoPorts")
    return sum(found[name] for name in wanted)


def main() -> None:
    """Serves, predicts and tells."""
    raise_loopback()
    with Server(command=_COMMANDS[sys.argv[1]]) as server:
        server.wait_until_ready()
        headers = {"content-type": "image/jpeg"}
        answer = requests.post(
            f"{server.url}/predict", _CAT.read_bytes(), headers=headers, timeout=60
        )
    before = lost()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control, contextlib.suppress(OSError):
        control.sendto(b"", (_ELSEWHERE, 443))
    routes = lost()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        control.sendto(b"", ("127.0.0.1", 53))
    told = {
        "label": answer.json()["predictions"][0]["label"],
        "lost": before,
        "lost with a packet to elsewhere": routes,
        "lost with a question for a name": lost(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
