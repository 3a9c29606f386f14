"""Has a real systemd run the units of `install-edge`, and none else, in namespaces of its own.

    unshare --mount --pid --fork --kill-child --mount-proc --cgroup --net --uts --ipc \
        python boot.py FOLDER [OPTION of install-edge]...

FOLDER has the models, in ``models``; it is at /mnt here, where the units come too. Nothing of the
machine is written: its /tmp, /var and /run are others in this namespace.
"""

import os
import subprocess
import sys
from pathlib import Path

from offline import raise_loopback

SYSTEMD = Path("/lib/systemd/systemd")
CANNOT = 77  # the exit status where such namespaces cannot be made
_UNITS = Path("/mnt/units")
_KEPT = Path("/mnt/kept")
_HIDING = ("/tmp", "/var", "/run")  # noqa: S108 - of this namespace
# Those that others of systemd's own need to be there; none of the machine's is looked at.
_TARGETS = ("basic", "paths", "shutdown", "sockets", "sysinit", "timers", "umount")


def main() -> None:
    """Makes the place, and becomes systemd."""
    folder, *options = sys.argv[1:]
    try:
        _make_place(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        sys.exit(CANNOT)
    raise_loopback()
    _install(options)
    os.execve(  # noqa: S606
        SYSTEMD,
        [str(SYSTEMD), "--system", "--log-target=console", "--unit=sockets.target"],
        {
            "PATH": os.environ["PATH"],
            "container": "zeropoint",
            "SYSTEMD_UNIT_PATH": str(_UNITS),
            "SYSTEMD_GENERATOR_PATH": "/nonexistent",
        },
    )


def _make_place(folder: str) -> None:
    _mount("--bind", folder, "/mnt")
    kept = {path: _KEPT / str(place) for place, path in enumerate(_hidden())}
    for path, aside in kept.items():
        aside.mkdir(parents=True)
        _mount("--bind", str(path), str(aside))
    for place in _HIDING:
        _mount("-t", "tmpfs", "tmpfs", place)
    for path, aside in kept.items():
        path.mkdir(parents=True)
        _mount("--bind", str(aside), str(path))
    subprocess.run(["umount", "--recursive", "/sys/fs/cgroup"], check=True)  # noqa: S607
    _mount("-t", "cgroup2", "none", "/sys/fs/cgroup")
    for name in ("/tmp", "/var/tmp", "/var/lib", "/var/cache"):  # noqa: S108 - as a machine has it
        Path(name).mkdir(exist_ok=True)
        Path(name).chmod(0o1777 if name.endswith("tmp") else 0o755)


def _hidden() -> list[Path]:
    """Returns what is needed of the folders that are others here, as where a clone lies in /tmp."""
    needed = {Path(sys.prefix), Path(sys.base_prefix), Path(__file__).resolve().parents[2]}
    hidden = [path for path in needed if any(path.is_relative_to(place) for place in _HIDING)]
    # Not what lies in another of them, which is bound with it.
    return [
        path
        for path in hidden
        if not any(path != one and path.is_relative_to(one) for one in hidden)
    ]


def _install(options: list[str]) -> None:
    _UNITS.mkdir()
    for name in _TARGETS:
        (_UNITS / f"{name}.target").write_text(
            f"[Unit]\nDescription={name}\nDefaultDependencies=no\n"
        )
    command = [sys.executable, "-m", "zeropoint", "install-edge", "--to", str(_UNITS), *options]
    subprocess.run(command, check=True, stdout=sys.stderr)
    wants = _UNITS / "sockets.target.wants"  # as `systemctl enable` does
    wants.mkdir()
    (wants / "zeropoint.socket").symlink_to(_UNITS / "zeropoint.socket")


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)  # noqa: S607


if __name__ == "__main__":
    main()
