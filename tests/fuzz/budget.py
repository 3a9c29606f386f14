"""How often the properties in this folder are tried.

The suite tries the same few inputs every time, so that a red run is the fault of what changed;
`make fuzz` tries that many times as many, others at every run.
"""

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("ZEROPOINT_FUZZ_TIMES", "1"))


def tries(short: int) -> settings:
    """Returns the settings of a property that the suite tries ``short`` times."""
    return settings(
        max_examples=short * TIMES,
        derandomize=TIMES == 1,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
