"""What was measured and what it costs, as lines for people and as JSON for programs."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from zeropoint.bench import cost, prices
from zeropoint.bench.cost import Bill, Size
from zeropoint.bench.measure import Measured, Warm


class Result(NamedTuple):
    """A model, what it was asked, what it took, and the instance whose bill is worked out."""

    model: str
    version: str
    asked: str
    found: Measured
    size: Size

    def bills(self) -> dict[str, Bill]:
        """Returns the bill of each way of calling."""
        return {
            "one_caller": cost.lone(self.size, self.found.one.walls_s),
            "busy": cost.busy(self.size, self.found.many.per_s),
            "cold": cost.cold(self.size, self.found.cold.median_ms / 1000.0),
        }

    def lines(self) -> Iterator[str]:
        """Yields what people are told."""
        found = self.found
        yield (
            f"{self.model} {self.version} as {found.variant}  {found.digest[:19]}"
            f"  asked: {self.asked}"
        )
        yield from _measured(found, self.size)
        yield ""
        yield from _costs(found, self.size, self.bills())

    def document(self) -> dict[str, Any]:
        """Returns what programs are told."""
        found, size = self.found, self.size

        def warm(one: Warm) -> dict[str, Any]:
            left_out = {"walls_s", *(() if one.tokens_per_s else ("tokens_per_s",))}
            return {key: value for key, value in one._asdict().items() if key not in left_out}

        return {
            "model": self.model,
            "version": self.version,
            "variant": found.variant,
            "digest": found.digest,
            "input": self.asked,
            "processors": {
                "server": found.processors[0],
                "callers": found.processors[1],
                "shared": found.shared,
            },
            "cold_start": {
                **found.cold._asdict(),
                "median_ms": found.cold.median_ms,
            },
            "warm": [warm(found.one), warm(found.many)],
            "memory": {"pss_bytes": found.pss_bytes, "requests": found.requests},
            "cost": {
                "instance": size._asdict(),
                "usd_per_1000": {key: bill._asdict() for key, bill in self.bills().items()},
                "always_on_usd_per_month": cost.always_on(size),
            },
            "prices": {
                "as_of": prices.AS_OF,
                "source": prices.SOURCE,
                "unverified": prices.UNVERIFIED,
                "request_based": prices.REQUEST_BASED._asdict(),
                "instance_based": prices.INSTANCE_BASED._asdict(),
                "free_request_based": prices.FREE_REQUEST_BASED._asdict(),
                "free_instance_based": prices.FREE_INSTANCE_BASED._asdict(),
            },
        }


def _measured(found: Measured, size: Size) -> Iterator[str]:
    cold = found.cold
    yield ""
    count = len(cold.wall_ms)
    yield (
        f"cold start    {cold.median_ms:.0f} ms from a new process to its first"
        f" answer, CPU {_ms(cold.cpu_ms, 0)} ms; {count} of them took"
        f" {min(cold.wall_ms):.0f} to {max(cold.wall_ms):.0f}"
    )
    phases = "  ".join(f"{name} {ms:.0f}" for name, ms in cold.phases_ms.items() if name != "total")
    yield f"  of which    {phases}"
    yield ""
    writes = bool(found.one.tokens_per_s)
    yield "              requests/s    p50 ms    p99 ms    CPU ms" + writes * "  tokens/s"
    for one in (found.one, found.many):
        yield (
            f"{_callers(one):<12}{one.per_s:12.1f}{one.p50_ms:10.2f}{one.p99_ms:10.2f}"
            f"{_ms(one.cpu_ms, 2):>10}" + (f"{one.tokens_per_s:10.1f}" if writes else "")
        )
    yield ""
    if found.pss_bytes is None:
        yield "memory and CPU: not told here, as there is no /proc"
    else:
        mib = found.pss_bytes / 2**20
        yield f"memory        {mib:.0f} MiB after {found.requests:,} requests"
        if mib > size.memory_mib:
            yield f"  it does not fit in {size.memory_mib:g} MiB: give a larger --memory-mib"
    yield from _doubts(found, size)


def _doubts(found: Measured, size: Size) -> Iterator[str]:
    """Says what about this machine makes the figures others than an instance's."""
    mine = found.processors[0]
    if not mine:
        yield "  the server had no processors of its own: this platform cannot give it some"
    elif mine < size.vcpus:
        yield f"  the server had {mine} of {size.vcpus:g} processors: with all it would be quicker"
    if found.shared:
        yield "  the callers ran on the server's processors: alone it would be quicker"


def _costs(found: Measured, size: Size, bills: dict[str, Bill]) -> Iterator[str]:
    yield (
        f"Cloud Run, {size.vcpus:g} vCPU and {size.memory_mib:g} MiB, US dollars,"
        f" list prices of {prices.AS_OF}, tier 1"
    )
    yield ""
    yield f"{'1,000 predictions':<26}request-based  instance-based  always-on is cheaper from"
    names = {
        "one_caller": "1 at a time",
        "busy": f"{_callers(found.many)}, no pause",
        "cold": "each a cold start",
    }
    for key, bill in bills.items():
        instance = "-" if bill.instance_based is None else f"{bill.instance_based:.5f}"
        yield (
            f"{names[key]:<26}{bill.request_based:13.5f}{instance:>16}"
            f"  {bill.break_even_per_s:.2g} a second, {_large(bill.break_even_per_month)} a month"
        )
    yield ""
    yield (
        f"always on     {cost.always_on(size):.2f} a month: one instance, instance-based,"
        " whether it is called or not"
    )
    free = prices.FREE_REQUEST_BASED
    yield (
        f"not in it     free each month, request-based: {free.vcpu_s:,} vCPU-seconds,"
        f" {free.gib_s:,} GiB-seconds, {free.requests:,} requests"
    )
    yield f"prices        {prices.SOURCE}; not verified there: those {prices.UNVERIFIED}"


def _callers(one: Warm) -> str:
    return f"{one.callers} caller" + ("s" if one.callers > 1 else "")


def _ms(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _large(count: float) -> str:
    return f"{count / 1e6:.1f} million" if count >= 1e6 else f"{count:,.0f}"
