"""The names of the methods, which tables, the command line and pages share."""

from depmm.interpret.attribution.methods import (
    OCCLUSION,
    ON_REQUEST,
    REQUESTABLE,
    SIGNAL_METHODS,
    STEP_METHODS,
)


def test_names_are_unique_and_requestable():
    names = [method.name for method in STEP_METHODS]
    assert len(set(names)) == len(names)
    assert set(REQUESTABLE) == {*names, *SIGNAL_METHODS} - {OCCLUSION.name}
    assert [method.name for method in ON_REQUEST] == list(REQUESTABLE[: -len(SIGNAL_METHODS)])
    assert all(method.title and method.meaning for method in STEP_METHODS)
