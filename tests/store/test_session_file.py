"""Session files are plain safetensors, written without keeping a tensor in memory."""

import json
import shutil
import tracemalloc

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from depmm.files.writing import temporary_folder
from depmm.store.session_writer import SessionWriter
from depmm.store.tensor_file import TensorFile


def test_the_file_equals_that_of_the_library(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        "audio.waveform": rng.integers(-9, 9, 1001).astype(np.int16),
        "audio.speech": rng.random((5, 2)).astype(np.float32),
        "audio.speech_step": np.arange(5, dtype=np.int32),
        "face.jpeg": rng.integers(0, 255, 333).astype(np.uint8),
        "face.time_s": rng.random(7),
        "face.detected": rng.random(7) < 0.5,
        "face.landmarks": np.zeros((0, 478, 3), np.float32),
        "numbers": np.array([[0, 3], [3, 7]]),
        "face.pose": rng.random((7, 4, 4)).astype(np.float32),
    }
    summary = {"steps": 2, "name": "Ünïcode"}
    with SessionWriter(temporary_folder(tmp_path)) as writer:
        for name, rows in tensors.items():
            assert writer.append(name, rows[:2]) == min(2, len(rows))
            assert writer.append(name, rows[2:]) == writer.rows(name) == len(rows)
        path = shutil.copy(writer.save(summary), tmp_path / "written.safetensors")
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    save_file(tensors, tmp_path / "library.safetensors", metadata)
    assert path.stat().st_size == (tmp_path / "library.safetensors").stat().st_size
    read = load_file(path)
    with TensorFile(path.open("rb"), path) as reader:
        assert json.loads(reader.metadata["depmm"]) == json.loads(metadata["depmm"]) == summary
        for name, rows in tensors.items():
            assert read[name].dtype == rows.dtype
            np.testing.assert_array_equal(read[name], rows)
            np.testing.assert_array_equal(reader.read(name), rows)
            if len(rows) > 2:
                np.testing.assert_array_equal(reader.read_rows(name, 1, 3), rows[1:3])


def test_rewind_removes_rows_after_the_mark(tmp_path):
    with SessionWriter(temporary_folder(tmp_path)) as writer:
        writer.append("a", np.arange(6).reshape(3, 2))
        mark = writer.mark()
        writer.append("a", np.ones((5, 2), int))
        writer.append("b", np.ones(4, np.float32))
        writer.rewind(mark)
        writer.append("a", np.full((1, 2), 9))
        content = load_file(writer.save({}))
    assert content.keys() == {"a"}
    np.testing.assert_array_equal(content["a"], [[0, 1], [2, 3], [4, 5], [9, 9]])


def test_the_writer_does_not_keep_tensors_in_memory(tmp_path):
    block = np.zeros((1000, 100), np.float32)  # 0.4 MB
    tracemalloc.start()
    with SessionWriter(temporary_folder(tmp_path)) as writer:
        for _ in range(100):
            writer.append("face.landmarks", block)
        size = writer.save({}).stat().st_size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 40e6
    assert peak < 4e6


def test_small_parts_of_a_block_are_read_once_and_are_copies(tmp_path):
    rows = np.arange(40, dtype=np.float32).reshape(20, 2)
    with SessionWriter(temporary_folder(tmp_path)) as writer:
        writer.append("values", rows)
        path = shutil.copy(writer.save({}), tmp_path / "one")
    with TensorFile(path.open("rb", buffering=0), path) as file:
        first = file.read_rows("values", 0, 4)
        path.write_bytes(bytes(path.stat().st_size))  # the block is not read again
        for start in range(0, 20, 4):
            part = file.read_rows("values", start, start + 4)
            assert np.array_equal(part, rows[start : start + 4])
            part[:] = -1
        assert np.array_equal(first, rows[:4])
        assert np.array_equal(file.read("values"), rows)
