"""The note on a dependence of gender and label."""

import pandas as pd
from scipy.stats import fisher_exact

from depmm.interpret.query.confounds import describe_uneven_gender


def make_subjects(women1: int, women0: int, n: int = 6) -> pd.DataFrame:
    """Make n subjects of each label, some of them women; each has two rows."""
    rows = [
        ("c", f"p{label}{k}", label, "female" if k < women else "male")
        for label, women in ((1, women1), (0, women0))
        for k in range(n)
    ]
    table = pd.DataFrame(rows, columns=["corpus", "subject", "label", "gender"])
    return pd.concat([table, table])


def test_dependence_is_described_with_its_p_value():
    note = describe_uneven_gender(make_subjects(5, 0))
    p = fisher_exact([[0, 6], [5, 1]]).pvalue
    assert note.startswith("5 of 6 subjects with label 1 and 0 of 6 with label 0 are female")
    assert f"p = {p:.2g}" in note


def test_independence_gives_no_note():
    assert describe_uneven_gender(make_subjects(3, 3)) is None
    assert describe_uneven_gender(make_subjects(4, 1)) is None  # p = .24


def test_unknown_gender_and_label_do_not_count():
    subjects = make_subjects(5, 0)
    assert describe_uneven_gender(subjects.assign(gender="female")) is None
    assert describe_uneven_gender(subjects.assign(label=pd.NA)) is None
    unknown = subjects.assign(subject="x" + subjects["subject"], gender=None)
    assert describe_uneven_gender(pd.concat([subjects, unknown])) == describe_uneven_gender(
        subjects
    )
