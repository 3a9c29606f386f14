"""Which cgroups bind this process: its own and those above it, of version 1 and 2."""

from collections.abc import Iterator
from pathlib import Path


def groups(controller: str, root: Path = Path("/")) -> Iterator[Path]:
    """Yields the folders of the groups that may bind this process, the innermost first.

    Args:
        controller: As version 1 calls it: ``cpu``, ``memory``.
        root: Where ``proc`` and ``sys`` are mounted.
    """
    for line in read(root / "proc/self/cgroup").splitlines():
        if line.count(":") < 2:
            continue
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            base = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            base = root / "sys/fs/cgroup" / controllers
            if not base.is_dir():
                base = root / "sys/fs/cgroup" / controller
        else:
            continue
        group = base / path.lstrip("/")
        # Inside a container the path may be the host's, which is not mounted: its parents,
        # up to the container's own root, are looked at too.
        while True:
            yield group
            if group == base:
                break
            group = group.parent


def read(path: Path) -> str:
    """Returns a file's text; empty where there is none."""
    try:
        return path.read_text(errors="surrogateescape")  # a group's name may be any bytes
    except (OSError, ValueError):
        return ""
