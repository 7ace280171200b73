"""The environment of a run."""

import sys
from importlib.metadata import version

from depmm.runs.environment import LIBRARIES, describe_environment


def test_versions_and_command_are_described(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/depmm", "train", "demo"])
    environment = describe_environment()
    assert environment["command"] == "depmm train demo"
    assert {name: environment[name] for name in LIBRARIES} == {
        name: version(name) for name in LIBRARIES
    }
    assert environment["python"] == ".".join(map(str, sys.version_info[:3]))
    assert all(isinstance(value, str) for value in environment.values())
