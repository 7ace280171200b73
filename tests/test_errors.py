"""Lists of names in messages."""

from depmm.errors import abbreviate, count_of


def test_long_lists_of_names_are_abbreviated():
    names = [f"n{k}" for k in range(12)]
    assert abbreviate(names[:2]) == "n0, n1"
    assert abbreviate(names[:10]) == ", ".join(names[:10])
    assert abbreviate(names) == ", ".join(names[:10]) + " and 2 more"
    assert abbreviate(names, 1, "; ") == "n0 and 11 more"


def test_a_noun_has_the_number_of_its_count():
    counts = [count_of(n, "problem") for n in range(3)]
    assert counts == ["0 problems", "1 problem", "2 problems"]
