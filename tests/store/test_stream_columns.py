"""Streams whose columns differ between sessions."""

import pytest

from depmm.store.stream_columns import find_different_columns


def summary(*columns: str, n_features: int | None = None, stream: str = "openface"):
    return {
        "streams": {
            stream: {
                "columns": list(columns),
                "n_features": len(columns) if n_features is None else n_features,
                "file": "x.csv",
            }
        }
    }


def keys(summaries, **options):
    return [found.key for found in find_different_columns(summaries, **options)]


def test_sessions_unlike_most_others_are_found():
    usual = summary("a", "b")
    key = [("c", str(i), "1") for i in range(6)]
    summaries = dict.fromkeys(key[:4], usual)
    assert find_different_columns(summaries) == []
    summaries |= {key[4]: summary("b", "a"), key[5]: summary("a", "b", "c")}
    swapped, wider = find_different_columns(summaries)
    assert (swapped.key, swapped.n_features, wider.key, wider.n_features) == (key[4], 2, key[5], 3)
    assert "'b' in column 1" in swapped.problem
    assert "with 'c'" in wider.problem
    # arrays have no names; another stream is another matter
    summaries = {key[0]: summary(n_features=7), key[1]: summary(n_features=8)}
    assert keys(summaries) == [key[1]]
    summaries[key[1]] = summary(n_features=8, stream="other")
    assert keys(summaries) == []


@pytest.mark.parametrize("across", [False, True])
def test_corpora_are_compared_on_request(across):
    one, other = ("c1", "1", "1"), ("c2", "1", "1")
    summaries = {one: summary("a"), other: summary("b")}
    assert keys(summaries, across_corpora=across) == ([other] if across else [])
