"""The function in a program of its own: no server, no network.

    from zeropoint import load

    model = load("efficientnet-lite0")
    model.predict("photo.jpg")

The model is that of the server, with the same three steps, limits and refusals.
"""

import msgspec

from zeropoint import loader, settings
from zeropoint.artifact import open_repository
from zeropoint.catalog import Catalog
from zeropoint.model import Model
from zeropoint.settings import Settings


def load(
    name: str = "",
    *,
    models: str = "",
    variant: str = "",
    threads: int = 0,
    limits: Settings | None = None,
) -> Model:
    """Loads a model and has it give its known answer; it may then be used in any thread.

    Not across a fork: load in the process that predicts.

    Args:
        name: The model's; empty: the repository's default one.
        models: The repository, as ``ZEROPOINT_MODELS`` has it; empty: what that names.
        variant: Which of the model's files; empty: the best that this machine can run.
        threads: Most of one forward pass; 0: one for each processor.
        limits: The settings; by default those of the environment.

    Raises:
        SettingsError: an environment variable has a value that it cannot have.
        ModelNotFoundError: the repository has no such model.
        ManifestError: its model.toml is wrong, or it has no such variant.
        ArtifactError: a file is missing or damaged, or the known answer did not come out.
        UnavailableError: the repository is away.
    """
    chosen = limits or settings.from_environment()
    if models:
        chosen = msgspec.structs.replace(chosen, models=models)
    repository = open_repository(chosen)
    name = name or Catalog(repository, chosen).default_name()
    return loader.load(repository, name, chosen, variant=variant, threads=threads)
