"""The package that runs here, as a wheel: without a build, and the same bytes each time."""

import base64
import hashlib
import zipfile
from importlib import metadata
from pathlib import Path

import zeropoint
from zeropoint.errors import SettingsError

_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold
_WHEEL = "Wheel-Version: 1.0\nGenerator: zeropoint\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write(folder: Path) -> Path:
    """Writes the wheel of this package into a folder, and returns its path.

    Raises:
        SettingsError: the package runs without having been installed, so that nothing tells what
            it is.
    """
    version = zeropoint.__version__
    info = f"zeropoint-{version}.dist-info"
    files = _package() | {f"{info}/{name}": data for name, data in _told(version).items()}
    record = [f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items()]
    record.append(f"{info}/RECORD,,\n")
    files[f"{info}/RECORD"] = "".join(record).encode()
    path = folder / f"zeropoint-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)
    return path


def _package() -> dict[str, bytes]:
    """Returns the package's files, by their names in the wheel."""
    root = Path(__file__).resolve().parents[1]
    return {
        f"zeropoint/{below.as_posix()}": path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and "__pycache__" not in (below := path.relative_to(root)).parts
        and not any(part.startswith(".") for part in below.parts)
    }


def _told(version: str) -> dict[str, bytes]:
    """Returns the files of .dist-info, but for RECORD."""
    try:
        installed = metadata.distribution("zeropoint")
    except metadata.PackageNotFoundError:
        raise SettingsError(
            "expected zeropoint to be installed, with pip or make, to pack it; got its files only"
        ) from None
    if installed.version != version:
        raise SettingsError(
            f"expected zeropoint {version} to be installed, which runs, got {installed.version}:"
            " install it again"
        )
    found = {"WHEEL": _WHEEL.encode()}
    for name in ("METADATA", "entry_points.txt", "top_level.txt", "licenses/LICENSE"):
        if text := installed.read_text(name):
            found[name] = text.encode()
    return found


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
