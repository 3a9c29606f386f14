"""List prices of Cloud Run services, in one dated table.

In US dollars, in a region of the first tier (us-central1, europe-west1, …), without processors of
other kinds, traffic and discounts. Look at `SOURCE` before you decide by them.
"""

from typing import NamedTuple

AS_OF = "2026-11-23"
SOURCE = "https://cloud.google.com/run/pricing"
# What was looked at on that day: stored copies of the page, not the page itself. The prices of a
# vCPU-second stood in them; those of a GiB-second and of requests, and the free tier, stood in
# pages of others that quote it, and could not be verified.
UNVERIFIED = "of memory, of requests, and the free tier"


class Rate(NamedTuple):
    """What an instance costs by its size and time, and what a request costs."""

    vcpu_s: float
    gib_s: float
    request: float


class Free(NamedTuple):
    """What is free each month, for all services of a billing account together."""

    vcpu_s: int
    gib_s: int
    requests: int


# Only while a request is answered, and while an instance starts or stops; in steps of `STEP_S`.
REQUEST_BASED = Rate(vcpu_s=0.000_024, gib_s=0.000_002_5, request=0.40 / 1e6)
# From an instance's start to its end, whether somebody calls or not; requests are free.
INSTANCE_BASED = Rate(vcpu_s=0.000_018, gib_s=0.000_002, request=0.0)

FREE_REQUEST_BASED = Free(vcpu_s=180_000, gib_s=360_000, requests=2_000_000)
FREE_INSTANCE_BASED = Free(vcpu_s=240_000, gib_s=450_000, requests=0)

# The least and the most memory of an instance, in MiB, by its vCPUs.
MEMORY_MIB = {1: (128, 4096), 2: (128, 8192), 4: (2048, 16384), 6: (4096, 24576), 8: (4096, 32768)}

STEP_S = 0.1  # to which billed time is rounded up
MONTH_S = 730 * 3600
