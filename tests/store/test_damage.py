"""Damaged and crafted files of a store: found, named, and extracted again."""

import json
import math
import multiprocessing
import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from recordings import KEY, SETTINGS, extract_all, session_files, three_subjects

from depmm.corpora.manifest import Manifest
from depmm.store.embeddings import EmbeddingStore
from depmm.store.errors import StoreError
from depmm.store.failures import recorded_failures
from depmm.store.index import read_failures, read_index
from depmm.store.session_file import SessionReader
from depmm.store.sessions import SessionStore
from depmm.store.tensor_file import BLOCK, HEADER_START, header_checksum
from depmm.store.worker_pool import Progress, _serve, run_in_processes

N_FLIPS = 60


@pytest.fixture
def subjects(tmp_path: Path) -> tuple[Manifest, Path]:
    return three_subjects(tmp_path / "recordings")


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def seeded_bits(content: bytes, n: int) -> list[int]:
    """Draw bits of the whole file, and some of its first and last bytes."""
    rng = np.random.default_rng(0)
    length = struct.unpack("<Q", content[:8])[0]
    bits = [*rng.integers(0, 64, 8), *(8 * (len(content) - 1) + rng.integers(0, 8, 4))]
    bits += [*rng.integers(64, 8 * (8 + length), n // 3)]
    return [int(bit) for bit in [*bits, *rng.integers(0, 8 * len(content), n)]]


def read_everything(path: Path) -> None:
    with SessionReader(path) as reader:
        for name in reader.names:
            reader.read_tensor(name)


def test_every_flipped_bit_is_found(subjects, tmp_path):
    extract_all(*subjects, tmp_path / "store")
    path = Path(SessionStore(tmp_path / "store", SETTINGS).path(*KEY))
    content = path.read_bytes()
    assert len(content) > 2 * 8192
    bits = seeded_bits(content, N_FLIPS)
    for bit in bits:
        path.write_bytes(flipped(content, bit))
        with pytest.raises(StoreError) as info:
            read_everything(path)
        assert (info.value.file, bool(info.value.remedy)) == (path, True), bit
        with pytest.raises(StoreError):
            SessionStore(tmp_path / "store", SETTINGS).verify(*KEY)
    path.write_bytes(content)
    read_everything(path)
    assert len(bits) >= 40


def test_damaged_sessions_are_extracted_again(subjects, tmp_path, caplog):
    store = tmp_path / "store"
    extract_all(*subjects, store)
    before = session_files(store)
    path = Path(SessionStore(store, SETTINGS).path(*KEY))
    for bit in seeded_bits(path.read_bytes(), 3)[::6]:
        path.write_bytes(flipped(path.read_bytes(), bit))
        caplog.clear()
        report = extract_all(*subjects, store)
        assert (report.extracted, report.skipped) == (1, 2)
        assert str(path) in caplog.text
        assert session_files(store) == before


def read_or_error(
    read: Callable[[SessionStore], pd.DataFrame], store: SessionStore
) -> tuple[StoreError | None, pd.DataFrame]:
    try:
        return None, read(store)
    except StoreError as error:
        return error, pd.DataFrame()


@pytest.mark.parametrize("name", ["index", "failures", "warnings"])
def test_flipped_bits_of_tables_change_no_value(subjects, tmp_path, name):
    manifest, root = subjects
    (root / "2.mp4").unlink()
    extract_all(manifest, root, tmp_path)
    path = tmp_path / f"{name}.parquet"
    content, table = path.read_bytes(), pd.read_parquet(path)
    store = SessionStore(tmp_path, SETTINGS)
    read: Callable[[SessionStore], pd.DataFrame] = read_failures
    read = read_index if name == "index" else read_failures
    found = 0
    for bit in np.random.default_rng(1).integers(0, 8 * len(content), 40):
        path.write_bytes(flipped(content, int(bit)))
        if name != "warnings":
            error, values = read_or_error(read, store)
            if error is None:
                pd.testing.assert_frame_equal(values, table[list(values)])
            else:
                assert error.file == path
                found += 1
        extract_all(manifest, root, tmp_path)
        pd.testing.assert_frame_equal(pd.read_parquet(path), table)
    assert name == "warnings" or found >= 38


def test_damaged_failures_and_embeddings_are_computed_again(subjects, tmp_path):
    manifest, root = subjects
    store = SessionStore(tmp_path / "store", SETTINGS)
    (root / "1.mp4").write_bytes(b"")
    extract_all(manifest, root, tmp_path / "store")
    (failed,) = (tmp_path / "store").rglob("*.failed.json")
    for damage in (b"", b"[", b"[{}]", b"\xff\xff", b"[1]"):
        failed.write_bytes(damage)
        with pytest.raises(StoreError) as info:
            recorded_failures(store, KEY)
        assert info.value.file == failed
        assert extract_all(manifest, root, tmp_path / "store").failures["file"][0] == "1.mp4"
    key = ("c", "p3", "s3")
    embeddings = EmbeddingStore(store, "0123456789ab")
    embeddings.write(*key, np.ones((1, 8), np.float32), np.array([True, False]))
    assert embeddings.has(*key)
    path = Path(embeddings.files.path(*key))
    content = path.read_bytes()
    for bit in seeded_bits(content, 10):
        path.write_bytes(flipped(content, bit))
        assert not embeddings.has(*key)
        with pytest.raises(StoreError):
            embeddings.read(*key)


# -- files that were made to mislead a reader: their checksums are right ---------------------------


def rebuilt(content: bytes, change: Callable[[dict[str, Any], bytearray], None]) -> bytes:
    """Change header and data, and correct all checksums."""
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    summary = json.loads(header["__metadata__"]["depmm"])
    header["summary"] = summary
    change(header, data)
    metadata = header.pop("__metadata__")
    metadata["depmm"] = json.dumps(header.pop("summary"))

    blocks = [data[i : i + BLOCK] for i in range(0, len(data), BLOCK)]
    metadata["block_checksums"] = "".join(f"{zlib.crc32(block):08x}" for block in blocks)
    metadata = {"checksum": "0" * 8, **{k: v for k, v in metadata.items() if k != "checksum"}}
    text = json.dumps({"__metadata__": metadata, **header}, separators=(",", ":")).encode()
    start = struct.pack("<Q", len(text))
    rest = text[len(HEADER_START) + 8 :]
    return start + HEADER_START + header_checksum(start, text) + rest + data


def replace_tensor(name: str, rows: np.ndarray) -> Callable[[dict[str, Any], bytearray], None]:
    def change(header: dict[str, Any], data: bytearray) -> None:
        first, end = header[name]["data_offsets"]
        assert end - first == rows.nbytes
        data[first:end] = rows.tobytes()

    return change


def resize(name: str, shape: list[int]) -> Callable[[dict[str, Any], bytearray], None]:
    def change(header: dict[str, Any], data: bytearray) -> None:
        header[name]["shape"] = shape

    return change


def summary(**values: Any) -> Callable[[dict[str, Any], bytearray], None]:
    return lambda header, data: header["summary"].update(values)


def add_tensor(name: str, dtype: str, shape: list[int]) -> Callable[[Any, bytearray], None]:
    def change(header: dict[str, Any], data: bytearray) -> None:
        size = math.prod(shape) * int(dtype[1:]) // 8
        header[name] = {
            "dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + size]
        }  # fmt: skip
        data.extend(bytes(size))

    return change


CRAFTED = {
    "offsets behind the sound": replace_tensor("audio.step_samples", np.full((2, 2), 2**62)),
    "negative offsets": replace_tensor("audio.step_samples", np.array([[-9, 5], [5, 9]])),
    "reversed offsets": replace_tensor("face.step_frames", np.array([[2, 0], [0, 1]])),
    "many steps": summary(n_steps=10**12),
    "steps that are text": summary(n_steps="2"),
    "no times": summary(step_start_s=[None, None]),
    "frames that are not there": summary(n_frames=10**9),
    "a warning that is a number": summary(warnings=[{"name": 1}]),
    "a stream without tensors": summary(streams={"openface": {"columns": None}}),
    "a shape that does not fit": resize("audio.waveform", [10**9]),
    "a negative shape": resize("audio.waveform", [-1]),
    "an empty shape of a large size": resize("audio.speech", [0, 2**62, 2**62]),
    "another shape": resize("face.time_s", [2, 4]),
    "an unknown tensor": add_tensor("other", "I64", [3]),
    "another type": add_tensor("face.landmarks", "F64", [7, 478, 3]),
    "a stream that the summary does not have": add_tensor("feature.x.values", "F32", [3, 2]),
}


@pytest.mark.parametrize("change", CRAFTED.values(), ids=CRAFTED)
def test_crafted_sessions_are_refused(subjects, tmp_path, change):
    extract_all(*subjects, tmp_path / "store")
    path = Path(SessionStore(tmp_path / "store", SETTINGS).path(*KEY))
    content = path.read_bytes()
    path.write_bytes(rebuilt(content, lambda header, data: None))
    read_everything(path)
    path.write_bytes(rebuilt(content, change))
    with pytest.raises(StoreError) as info:
        SessionStore(tmp_path / "store", SETTINGS).read(*KEY)
    assert (info.value.file, info.value.session) == (path, "s1")
    report = extract_all(*subjects, tmp_path / "store")
    assert report.extracted == 1
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<Q", 2**63), struct.pack("<Q", 10**8) + b"{" * 1000,
        struct.pack("<Q", 10**6) + HEADER_START + b"0" * 8 + b"[" * (10**6 - 36),
    ],
    ids=["longest", "long", "deep"],
)  # fmt: skip
def test_absurd_headers_are_refused(tmp_path, header):
    path = tmp_path / "s.safetensors"
    path.write_bytes(header)
    with pytest.raises(StoreError):
        SessionReader(path)


def read_bomb(path: Path, progress: Progress) -> str:
    """Read a session whose first crop has 2^30 pixels, with little memory."""
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    try:
        with SessionReader(path) as reader:
            reader.read_crop(0)
    except StoreError as error:
        return str(error.file)
    return ""


@pytest.mark.slow
def test_a_crop_of_many_pixels_is_refused(subjects, tmp_path):
    extract_all(*subjects, tmp_path / "store")
    path = Path(SessionStore(tmp_path / "store", SETTINGS).path(*KEY))

    def enlarge(header: dict[str, Any], data: bytearray) -> None:
        place = data.index(b"\xff\xc0", header["face.jpeg"]["data_offsets"][0])
        data[place + 5 : place + 9] = struct.pack(">HH", 2**15, 2**15)

    path.write_bytes(rebuilt(path.read_bytes(), enlarge))
    ((_, result),) = run_in_processes(read_bomb, [path], 1, 60.0)
    assert result == str(path)


def test_a_worker_whose_parent_is_done_before_its_first_job_ends_quietly(capfd):
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, len, None))
    here.close()
    process.start()
    there.close()
    process.join(60)
    assert process.exitcode == 0
    assert capfd.readouterr().err == ""
