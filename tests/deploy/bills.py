"""Bills of materials, made and judged by an environment that has cyclonedx-bom, and it alone."""

import subprocess
from pathlib import Path

from environments import python_with
from servers import ROOT, environment

_VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
problem = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())
print(str(problem.data)[:1000] if problem else "valid")
"""


def python_with_cyclonedx() -> Path:
    """Returns an interpreter that has what the Dockerfile's stage ``sbom`` has."""
    return python_with("sbom", ROOT / "requirements" / "sbom.txt")


def make(home: Path, version: str, python: Path, models: Path) -> str:
    """Returns a bill of an interpreter's packages, this machine's and some models."""
    command = [ROOT / "deploy" / "sbom.py", version, python, models]
    return _run(home, *map(str, command))


def judgement(home: Path, bill: Path) -> str:
    """Returns what CycloneDX's own validator says of a bill: ``valid``, or why it is not."""
    return _run(home, "-c", _VALIDATE, str(bill)).strip()


def _run(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [python_with_cyclonedx(), *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
