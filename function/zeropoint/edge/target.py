"""What a bundle is made for: a system, a processor and a Python; and which wheels it takes."""

import re
from typing import NamedTuple, Self

from zeropoint.errors import SettingsError

PLATFORMS = ("linux-x86_64", "linux-aarch64")
PYTHONS = ("3.11", "3.12", "3.13")

# ONNX Runtime's and NumPy's wheels ask for this C library; older ones' tags do for it too.
GLIBC = (2, 28)
_OLDEST_GLIBC = 17  # of 2.17: the first with wheels for aarch64
_LEGACY = {
    "x86_64": ("manylinux2014", "manylinux2010", "manylinux1"),
    "aarch64": ("manylinux2014",),
}


class Target(NamedTuple):
    """A machine that is not this one."""

    machine: str
    python: str

    @classmethod
    def of(cls, platform: str, python: str) -> Self:
        """Returns what ``linux-x86_64`` and ``3.11`` name.

        Raises:
            SettingsError: there are no wheels for it.
        """
        if platform not in PLATFORMS:
            raise SettingsError(f"expected one of {', '.join(PLATFORMS)}, got {platform!r}")
        if python not in PYTHONS:
            raise SettingsError(f"expected Python {', '.join(PYTHONS)}, got {python!r}")
        return cls(platform.removeprefix("linux-"), python)

    @property
    def platform(self) -> str:
        """As it is named: ``linux-aarch64``."""
        return f"linux-{self.machine}"

    def tags(self) -> list[str]:
        """Returns the platform tags of the wheels that it takes, the newest first."""
        major, minor = GLIBC
        numbered = [
            f"manylinux_{major}_{each}_{self.machine}"
            for each in range(minor, _OLDEST_GLIBC - 1, -1)
        ]
        return numbered + [f"{name}_{self.machine}" for name in _LEGACY.get(self.machine, ())]

    def pip_options(self) -> list[str]:
        """Returns what has pip look for this machine's wheels, and for nothing else."""
        options = ["--only-binary=:all:", "--implementation=cp", f"--python-version={self.python}"]
        return options + [f"--platform={tag}" for tag in self.tags()]

    def lines(self, lock: str) -> list[str]:
        """Returns the lines of a lock that are for this machine, without their markers.

        pip itself would hold a marker against the machine that it runs on.

        Args:
            lock: Text of a requirements file, each line one version with its hashes.

        Raises:
            SettingsError: packaging is not installed.
        """
        try:
            from packaging.markers import Marker
        except ImportError:
            raise SettingsError("zeropoint bundle needs packaging: pip install packaging") from None
        found = []
        for line in re.sub(r"\\\n", " ", lock).splitlines():
            pinned = re.sub(r"(^|\s)#.*", "", line).strip()
            if not pinned:
                continue
            requirement, *hashes = re.split(r"\s+--hash=", pinned)
            package, _, marker = requirement.partition(";")
            if marker and not Marker(marker).evaluate(self._environment()):
                continue
            found.append(" --hash=".join((package.strip(), *hashes)))
        return found

    def _environment(self) -> dict[str, str]:
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }
