"""How a process becomes the function: the settings, the log, and the model while the rest comes."""

import os
import signal
import sys
from types import FrameType

from zeropoint import logs, malloc, settings
from zeropoint.errors import SettingsError
from zeropoint.logs import log
from zeropoint.serving import Serving
from zeropoint.timing import ColdStart

_EX_CONFIG = 78  # of sysexits.h


def start(load: bool) -> Serving:
    """Returns what the environment sets; ends the process where a setting is wrong.

    Args:
        load: Whether to begin to load the default model, which goes on while the caller imports
            the rest; never in a process that will fork.
    """
    cold_start = ColdStart()
    if load:
        signal.signal(signal.SIGTERM, _end)
    malloc.setup()
    logs.setup(settings.Settings())
    try:
        chosen = settings.from_environment()
        logs.setup(chosen)
        if chosen.logging == "cloud":
            from zeropoint import cloud_logs

            cloud_logs.attach(chosen)
        for name in settings.unknown():
            log.warning("%s is no setting of Zeropoint (zeropoint settings lists them)", name)
        if load and "LISTEN_PID" in os.environ:
            from zeropoint import activation  # not before the model begins to load

            activation.refuse_open(chosen.api_key)
        serving = Serving(chosen, cold_start)
    except SettingsError as error:
        log.critical("%s", error)
        sys.exit(_EX_CONFIG)
    if load:
        serving.catalog.start()
        from zeropoint import session  # noqa: F401 - which the model waits for
    return serving


def _end(number: int, frame: FrameType | None) -> None:
    """Ends a process that does not serve yet: nobody waits, and a load would not let it end."""
    os._exit(0)
