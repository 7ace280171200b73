"""The clock of MPEG program streams."""

from pathlib import Path

import pytest
from media_files import GRID

from depmm.media.containers import mpeg_clock
from depmm.media.containers.mpeg_clock import PACK, clock_ascends


def pack(seconds: float, version: int, payload: int = 2000) -> bytes:
    """Make a pack whose clock has the given time, and a payload."""
    ticks = round(seconds * 90_000)
    parts = (ticks >> 30, ticks >> 15 & 0x7FFF, ticks & 0x7FFF)
    if version == 2:
        bits = ((1 << 3 | parts[0]) << 1 | 1) << 32
        bits |= (parts[1] << 1 | 1) << 16 | parts[2] << 1 | 1
        bits <<= 2
        head = bits.to_bytes(5 + 0, "big") if bits < 1 << 40 else bits.to_bytes(6, "big")[-5:]
    else:
        bits = ((2 << 3 | parts[0]) << 1 | 1) << 32
        bits |= (parts[1] << 1 | 1) << 16 | parts[2] << 1 | 1
        head = bits.to_bytes(5, "big")
    return PACK + head + bytes(9) + b"\x01" * payload


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("read_bytes", [1 << 22, 2048, 101])
def test_ascending_clocks_are_told_from_restarts_and_jumps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, read_bytes: int
) -> None:
    monkeypatch.setattr(mpeg_clock, "READ_BYTES", read_bytes)
    path = tmp_path / "a.mpg"

    def ascends(*times: float) -> bool:
        path.write_bytes(b"".join(pack(time, version) for time in times))
        return clock_ascends(path)

    assert ascends(*(0.5 * i for i in range(20)))
    assert ascends(*(90_000 + 0.5 * i for i in range(20)))  # all of the 33 bits
    assert not ascends(0, 1, 2, 0, 1, 2)
    assert not ascends(0, 1, 2, 1802, 1803)


def test_real_recordings_ascend_and_joined_ones_do_not(real_data: Path, tmp_path: Path) -> None:
    data = (real_data / GRID).read_bytes()
    assert clock_ascends(real_data / GRID)
    (tmp_path / "a.mpg").write_bytes(data + data)
    assert not clock_ascends(tmp_path / "a.mpg")
    (tmp_path / "b.mpg").write_bytes(bytes(1000))
    assert not clock_ascends(tmp_path / "b.mpg")
