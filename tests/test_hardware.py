"""A processor's features, in the words of a variant."""

from pathlib import Path

import pytest

from zeropoint import hardware

X86 = "processor\t: 0\nflags\t\t: fpu avx2 {}\n\nprocessor\t: 1\nflags\t\t: fpu avx2 {}\n"


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (X86.format("", ""), {"avx2"}),
        (X86.format("avx512f avx512_vnni", "avx512f avx512_vnni"),
         {"avx2", "avx512", "vnni", "int8-dot"}),
        (X86.format("avx_vnni", "avx_vnni"), {"avx2", "vnni", "int8-dot"}),
        (X86.format("avx_vnni", ""), {"avx2"}),  # one of them cannot
        ("Features\t: fp asimd asimddp i8mm\n", {"neon", "dotprod", "i8mm", "int8-dot"}),
        ("Features\t: fp asimd\n", {"neon"}),
        ("model name: unknown\n", set()),
    ],
)  # fmt: skip
def test_linux_words_become_ours(tmp_path: Path, cpuinfo: str, expected: set[str]) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(cpuinfo)
    assert hardware.features(tmp_path) == expected
    assert expected <= hardware.WORDS


def test_a_system_that_does_not_tell_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert hardware.features(tmp_path) == frozenset()
