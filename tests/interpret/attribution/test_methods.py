"""The names of the methods, which tables, the command line and pages share."""

from depmm.interpret.attribution.methods import (
    GRAD_CAM,
    OCCLUSION,
    ON_REQUEST,
    REQUESTABLE,
    STEP_METHODS,
)


def test_names_are_unique_and_requestable():
    names = [method.name for method in STEP_METHODS]
    assert len(set(names)) == len(names)
    assert set(REQUESTABLE) == {*names, GRAD_CAM} - {OCCLUSION.name}
    assert [method.name for method in ON_REQUEST] == list(REQUESTABLE[:-1])
    assert all(method.title and method.meaning for method in STEP_METHODS)
