"""Limits of YAML: small documents that are large in memory or slow to read."""

import resource
import subprocess
import sys
import time

import pytest

from depmm.config import ConfigError, load_config, load_experiment
from depmm.corpora.spec import SpecError, load_spec, parse_spec
from depmm.files.limited_yaml import MAX_CHARACTERS, MAX_DEPTH, YamlError, load_yaml

LIMIT = 2 * 2**30  # bytes
BILLION_LAUGHS = "a0: &a0 [lol, lol]\n" + "\n".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)
)
HOSTILE = {
    "aliases": (BILLION_LAUGHS, 1),
    "anchor": ("name: &x a", 1),
    "flow depth": ("name: x\nsplit: " + "[" * 100_000, 2),
    "mapping depth": ("{a: " * 50_000, 1),
    "block depth": ("\n".join(" " * n + "a:" for n in range(900)), MAX_DEPTH),
    "complex keys": ("? " * 50_000, 1),
    "many values": ("a: [" + "1," * 200_000 + "]", 1),
    "long value": ("name: x\nnote: " + "a" * 900_000, 2),
    "long document": ("#" * (MAX_CHARACTERS + 1), None),
    "digits": ("name: x\nseed: " + "9" * 5000, 2),
    "integer": ("seed: 99999999999999999999", 1),
    "hexadecimal": ("seed: 0x" + "f" * 5000, 1),
    "sexagesimal": ("seed: 1" + ":59" * 3000, 1),
    "float": ("rate: 1.0e+999", 1),
    "date": ("name: 2000-13-45", 1),
    "repeated key": ("training:\n  epochs: 1\n  epochs: 2", 3),
    "tag": ("name: !!python/object/apply:os.system [id]", 1),
    "wrong tag": ("a: x\nname: !!int abc", 2),
    "binary": ("name: !!binary a", 1),
    "two documents": ("name: x\n---\nname: y", 2),
    "control character": ("a: 1\nname: a\x07", 2),
    "unhashable key": ("? [a]\n: 1", 1),
    "recursion": ("a: &a [*a]", 1),
    "quotation mark": ('name: "x\na: 1\n', None),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_documents_are_refused_with_their_line(case, tmp_path):
    text, line = HOSTILE[case]
    began = time.perf_counter()
    with pytest.raises(YamlError) as info:
        load_yaml(text)
    assert time.perf_counter() - began < 20
    if line is not None:
        assert info.value.line == line
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as config:
        load_experiment(path)
    assert (config.value.file, config.value.line) == (path, info.value.line)
    assert config.value.remedy
    assert len(str(config.value)) < 1000
    with pytest.raises(SpecError) as spec:
        parse_spec(text, "toy.yaml")
    assert len(str(spec.value)) < 3000


@pytest.mark.parametrize(
    ("override", "setting"),
    [
        ("seed=" + "9" * 5000, "seed"),
        ("seed=99999999999999999999", "seed"),
        ("training.learning_rate=1.0e+999", "training.learning_rate"),
        ("training.learning_rate=.inf", "training.learning_rate"),
        ("training.learning_rate=.nan", "training.learning_rate"),
        ("training.learning_rate=-.inf", "training.learning_rate"),
        ("evaluation.threshold=.nan", "evaluation.threshold"),
        ("data.max_audio_s=.inf", "data.max_audio_s"),
        ("name=" + "a" * 100_000, "name"),
        ("split=" + "[" * 50_000, "split"),
        ("split=&a [*a]", "split"),
        ("split={folds: 3, folds: 4}", "split"),
        ("name=2000-13-45", "name"),
        (".".join("a" * 20_000) + "=1", None),
    ],
)
def test_hostile_overrides_are_refused_with_their_setting(override, setting):
    with pytest.raises(ConfigError) as info:
        load_config("demo", [override])
    if setting:
        assert info.value.setting.startswith(setting)
    assert len(str(info.value)) < 1000


def test_ordinary_documents_keep_their_values():
    text = "a: 1\nb: [1.0e-4, true, null, x, .inf]\nc: {d: '&x', e: 9223372036854775807}\n"
    assert load_yaml(text) == {
        "a": 1, "b": [1e-4, True, None, "x", float("inf")], "c": {"d": "&x", "e": 2**63 - 1}
    }  # fmt: skip
    assert load_yaml("") is None


def test_files_that_are_not_text_files_of_this_size_are_not_read(tmp_path):
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(10 * 2**30)  # without blocks on the disk
    for load in (load_experiment, load_spec):
        with pytest.raises((ConfigError, SpecError)) as info:
            load(large)
        assert info.value.file == large


READ_ALL = """
import sys
from depmm.cli import main

command, *paths = sys.argv[1:]
for path in paths:
    rest = [] if command == "train" else [".", "--out", "m"]
    sys.argv[1:] = [command, path, *rest]
    try:
        main()
    except SystemExit as end:
        print(path, end.code, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "index"])
def test_hostile_documents_need_little_memory(command, tmp_path):
    """All through the command line in one process, in 2 GiB of memory and 60 s."""
    names = [f"{name.replace(' ', '_')}.yaml" for name in HOSTILE]
    for name, (text, _) in zip(names, HOSTILE.values(), strict=True):
        (tmp_path / name).write_text(text)
    result = subprocess.run(
        [sys.executable, "-c", READ_ALL, command, *names],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT)),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n")[:-1] == [f"{name} 2" for name in names]
    assert all(name in result.stderr for name in names)
    assert "Traceback" not in result.stderr
