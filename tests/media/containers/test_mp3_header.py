"""The header frame of MP3 files."""

from pathlib import Path

from media_files import encode_sound, tone

from depmm.media.containers.mp3_header import states_its_size


def test_a_header_is_used_if_the_file_has_the_stated_size(tmp_path: Path) -> None:
    path = encode_sound(tmp_path / "a.mp3", "libmp3lame", tone(20, 48_000), 48_000, "mp3")
    data = path.read_bytes()
    assert states_its_size(path)
    size = 3000
    tag = b"ID3\x04\0\0" + bytes(size >> 7 * (3 - i) & 127 for i in range(4)) + bytes(size)
    first = 10 + sum(byte << 7 * (3 - i) for i, byte in enumerate(data[6:10]))  # behind its tag
    for content, expected in (
        (data + b"TAG" + bytes(125), True),
        (tag + data[first:], True),
        (data[: len(data) // 2], False),
        (data + data, False),
        (data[first + 1000 :], False),
        (data[:12], False),
        (b"", False),
    ):
        path.write_bytes(content)
        assert states_its_size(path) == expected
