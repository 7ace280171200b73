"""The report: checks of the table, numbers by hand, and a page that says the same as the file."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from nearly import nearly

from depmm.evaluation.predictions import PredictionTableError, check_predictions
from depmm.evaluation.reports.report import evaluate, write_report

DRAWS = 100
FILES = ["metrics.json", "report.html", "tables.md", "tables.tex"]
EVIL = "<script>alert(1)</script>"


def make_predictions(subjects=30, folds=3, seeds=(0,), sessions=1, separation=2.0):
    """Every subject tested once per seed, the next fold validates, the others train."""
    rng = np.random.default_rng(11)
    rows = []
    for seed in seeds:
        for fold in range(folds):
            for subject in range(subjects):
                turn = (subject // 2 - fold) % folds
                split = "test" if turn == 0 else "validation" if turn == 1 else "train"
                for session in range(sessions):
                    label = subject % 2
                    logit = separation * (label - 0.5) + rng.normal()
                    measured = 8 + 15 * label + subject % 5 + session
                    rows.append(
                        {
                            "corpus": "c",
                            "subject": f"p{subject}",
                            "session": f"{session}",
                            "split": split,
                            "fold": fold,
                            "seed": seed,
                            "y_true": label,
                            "y_prob": 1 / (1 + np.exp(-logit)),
                            "score": float(measured),
                            "score_pred": float(measured + 3 * rng.normal()),
                            "gender": ("female", "male")[subject // 2 % 2],
                            "instrument": "BDI-II",
                        }
                    )
    return pd.DataFrame(rows)


def only(target, table):
    """Keep the answers of one target."""
    answer = {"binary": "score_pred", "severity": "y_prob"}[target]
    return table.assign(**{answer: np.nan})


def numbers(table, **settings):
    return evaluate(table, **{"n_bootstrap": DRAWS, "confidence": 0.95, **settings})


# ---- the table is checked ----------------------------------------------------------------------


def spoil(column, value, row=0):
    def change(table):
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.drop(columns="fold"),
            "another split .* Assumed .* columns are missing: fold 0",
        ),
        (lambda t: t.drop(columns=["y_prob", "score_pred"]), "neither y_true and y_prob nor"),
        (spoil("y_prob", 1.2, 3), r"y_prob is 1.2 in row 3 \(corpus c, subject p3.*\[0, 1\]"),
        (spoil("y_prob", "high"), "y_prob is high in row 0.*finite numbers"),
        (spoil("y_prob", np.inf), "y_prob is inf in row 0.*finite numbers"),
        (spoil("y_true", 2), "y_true is 2 in row 0.*labels are 0 .negative. or 1 .positive."),
        (spoil("split", "dev"), "split is dev in row 0.*train, validation, test"),
        (spoil("fold", 0.5), "fold is 0.5 in row 0.*whole numbers"),
        (spoil("session", None, 4), "session is .* in row 4.*every row needs one"),
        (spoil("y_true", 1), "y_true is .* another row of this session says otherwise"),
        (lambda t: pd.concat([t, t.iloc[[7]]]), "session is 0 in row 90 .*duplicate"),
        (lambda t: t[t["split"] != "test"], "no rows with split 'test'"),
        (
            lambda t: pd.concat([t, t[t["split"] == "test"].iloc[[0]].assign(fold=9)]),
            "row 90 .*tested in several folds of one seed",
        ),
        (
            lambda t: pd.concat(
                [t, t[t["split"] == "train"].iloc[[0]].assign(split="test", session="x")]
            ),
            "also in another split of the fold",
        ),
    ],
)
def test_bad_tables_are_refused_with_value_row_and_remedy(change, message):
    with pytest.raises(PredictionTableError, match=message):
        check_predictions(change(make_predictions()))


def test_tested_rows_need_answers_of_one_instrument():
    table = make_predictions()
    tested = table.index[table["split"] == "test"]
    with pytest.raises(PredictionTableError, match="tested rows need it"):
        numbers(spoil("y_prob", None, tested[0])(table.copy()))
    with pytest.raises(PredictionTableError, match="no tested row has both"):
        numbers(table.assign(y_prob=np.nan, score_pred=np.nan))
    with pytest.raises(PredictionTableError, match=r"\['BDI-II', 'PHQ-8'\]"):
        numbers(spoil("instrument", "PHQ-8", tested[0])(table.copy()))


def test_the_given_table_is_not_changed():
    table = make_predictions()
    before = table.copy()
    numbers(table)
    pd.testing.assert_frame_equal(table, before)


# ---- evaluation --------------------------------------------------------------------------------


def tiny():
    """Four tested subjects; the threshold from validation is 0.5."""
    rows = [
        *[("train", i, y, np.nan) for i, y in enumerate([0, 0, 0, 1])],
        *[("validation", i, y, p) for i, (y, p) in enumerate([(0, 0.4), (1, 0.6)])],
        *[("test", i, y, p) for i, (y, p) in enumerate([(0, 0.1), (0, 0.7), (1, 0.6), (1, 0.9)])],
    ]
    table = pd.DataFrame(rows, columns=["split", "number", "y_true", "y_prob"])
    table["subject"] = table["split"] + table.pop("number").astype(str)
    return table.assign(corpus="c", session="1", fold=0, seed=0)


def test_numbers_by_hand():
    content = numbers(tiny())
    assert content["targets"] == ["binary"]
    assert content["thresholds"] == [
        {
            "fold": 0,
            "seed": 0,
            "value": 0.5,
            "source": "best balanced accuracy on 2 validation sessions",
        }
    ]
    assert content["confusion"] == {"tn": 1, "fp": 1, "fn": 0, "tp": 2}
    values = {name: entry["value"] for name, entry in content["metrics"].items()}
    expected = {
        "balanced_accuracy": 0.75,
        "auroc": 0.75,
        "accuracy": 0.75,
        "precision": 2 / 3,
        "recall": 1,
        "specificity": 0.5,
        "f1_positive": 0.8,
        "f1_macro": (0.8 + 2 / 3) / 2,
        "f1_weighted": (0.8 + 2 / 3) / 2,
        "mcc": 2 / np.sqrt(3 * 2 * 2 * 1),
        "auprc": (1 + 2 / 3) / 2,
        "brier": (0.01 + 0.49 + 0.16 + 0.01) / 4,
        "log_loss": -np.log(0.9 * 0.3 * 0.6 * 0.9) / 4,
    }
    assert values == pytest.approx(expected)
    majority = {name: entry["value"] for name, entry in content["baselines"]["majority"].items()}
    assert majority["accuracy"] == majority["balanced_accuracy"] == 0.5
    assert majority["precision"] is None  # nothing is decided positive
    assert content["baselines"]["constant_probability"]["auroc"]["value"] == 0.5
    assert content["metrics"]["f1_positive"]["baseline"]["name"] == "always_positive"
    assert content["metrics"]["f1_positive"]["baseline"]["value"] == pytest.approx(2 / 3)
    assert content["metrics"]["recall"]["verdict"] is None
    # the training share of positives (.25) is a worse guess here than even odds
    brier = content["metrics"]["brier"]
    assert brier["baseline"]["name"] == "even_odds"
    assert brier["baseline"]["value"] == pytest.approx(0.25)
    assert brier["gain"]["value"] == pytest.approx(0.25 - 0.1675)
    assert content["metrics"]["auprc"]["baseline"]["value"] == 0.5
    assert content["counts"] == {
        "train": {"sessions": 4, "subjects": 4, "positive_sessions": 1},
        "validation": {"sessions": 2, "subjects": 2, "positive_sessions": 1},
        "test": {"sessions": 4, "subjects": 4, "positive_sessions": 2},
    }
    assert any("Only 4 subjects" in note for note in content["warnings"])


def test_verdict_follows_the_lower_bound():
    good = numbers(make_predictions(subjects=60, separation=3))
    assert good["verdict"]["outcome"] == "better"
    for name in ("balanced_accuracy", "auroc"):
        entry = good["metrics"][name]
        assert entry["verdict"]["outcome"] == "better"
        assert entry["ci_low"] > entry["baseline"]["value"] == 0.5
        assert entry["gain"]["ci_low"] == pytest.approx(entry["ci_low"] - 0.5)
    table = make_predictions(subjects=60, separation=0)
    assert numbers(table)["verdict"]["outcome"] == "not shown to be better"
    tested = table["split"] == "test"
    table.loc[tested, "y_prob"] = 0.99 - 0.98 * table.loc[tested, "y_true"]
    assert numbers(table)["metrics"]["auroc"]["verdict"]["outcome"] == "worse"


def test_pooled_folds_equal_sklearn_and_severity_its_floor():
    table = make_predictions(sessions=2)
    content = numbers(table)
    assert content["targets"] == ["binary", "severity"]
    assert content["folds"] == [0, 1, 2]
    tested = table[table["split"] == "test"]
    auroc = sk.roc_auc_score(tested["y_true"], tested["y_prob"])
    rmse = sk.root_mean_squared_error(tested["score"], tested["score_pred"])
    assert content["metrics"]["auroc"]["value"] == pytest.approx(auroc)
    assert content["metrics"]["rmse"]["value"] == pytest.approx(rmse)
    means = table[table["split"] == "train"].groupby("fold")["score"].mean()
    baseline = sk.mean_absolute_error(tested["score"], tested["fold"].map(means))
    entry = content["metrics"]["mae"]
    assert entry["baseline"]["value"] == pytest.approx(baseline)
    assert entry["gain"]["value"] == pytest.approx(baseline - entry["value"])
    assert entry["verdict"]["outcome"] == "better"
    bands = [np.digitize(tested[name], (14, 20, 29)) for name in ("score", "score_pred")]
    kappa = sk.cohen_kappa_score(*bands, weights="quadratic")
    assert content["metrics"]["quadratic_kappa"]["value"] == pytest.approx(kappa)
    unknown = numbers(table.assign(instrument="own scale"))
    assert "quadratic_kappa" not in unknown["metrics"]


def test_every_interval_names_its_method():
    content = numbers(make_predictions())
    assert content["bootstrap"]["method"] == "BCa"
    assert {entry["method"] for entry in content["metrics"].values()} == {"BCa"}
    certain = make_predictions()
    certain["y_prob"] = 0.1 + 0.8 * certain["y_true"]
    content = numbers(certain)
    assert content["metrics"]["accuracy"]["method"] == "percentile"
    assert "says nothing" in content["metrics"]["accuracy"]["reason"]
    assert any("Percentile instead of BCa" in note for note in content["warnings"])


def test_leaving_one_subject_out_does_not_lower_the_floor():
    """The majority of the other subjects is always the wrong class when classes are balanced."""
    rows = []
    for fold in range(20):
        for subject in range(20):
            split = "test" if subject == fold else "train"
            rows.append(("c", f"p{subject}", "1", split, fold, 0, subject % 2, 0.5))
    columns = ["corpus", "subject", "session", "split", "fold", "seed", "y_true", "y_prob"]
    content = numbers(pd.DataFrame(rows, columns=columns))
    assert content["baselines"]["majority"]["accuracy"]["value"] == 0
    assert content["baselines"]["constant_probability"]["auroc"]["value"] == 0
    assert content["metrics"]["accuracy"]["baseline"]["value"] == 0.5
    assert content["metrics"]["auroc"]["baseline"]["value"] == 0.5
    assert content["verdict"]["outcome"] == "not shown to be better"
    assert sum("no validation rows" in note for note in content["warnings"]) == 20


def test_seeds_are_averaged_and_subjects_drawn_jointly():
    content = numbers(make_predictions(seeds=(3, 4)))
    entry = content["metrics"]["auroc"]
    each = [numbers(make_predictions(seeds=(3, 4)).query(f"seed == {s}")) for s in (3, 4)]
    singles = [c["metrics"]["auroc"]["value"] for c in each]
    assert entry["per_seed"] == pytest.approx({"3": singles[0], "4": singles[1]})
    assert entry["value"] == pytest.approx(np.mean(singles))
    cells = content["confusion"]
    assert cells["tp"] == np.mean([c["confusion"]["tp"] for c in each])
    assert cells["per_seed"]["3"] == each[0]["confusion"]
    # the same predictions twice are no more certain than once: subjects are drawn, not rows
    table = make_predictions()
    once, twice = numbers(table), numbers(pd.concat([table, table.assign(seed=1)]))
    for name in once["metrics"]:
        keys = ("value", "ci_low", "ci_high")
        assert [once["metrics"][name][k] for k in keys] == pytest.approx(
            [twice["metrics"][name][k] for k in keys]
        )


def test_repeated_folds_are_averaged_and_count_nobody_twice():
    table, again = make_predictions(), make_predictions(seeds=(0, 1)).query("seed == 1")
    repeated = pd.concat([table, again.assign(seed=0, fold=again["fold"] + 3)])
    as_seeds = numbers(pd.concat([table, again]))
    content = numbers(repeated)
    assert (content["repeats"], as_seeds["repeats"]) == (2, 1)
    assert content["seeds"] == ["0, repeat 0", "0, repeat 1"]
    assert content["counts"] == as_seeds["counts"]
    assert content["bootstrap"] == as_seeds["bootstrap"]
    for name, entry in content["metrics"].items():
        same = as_seeds["metrics"][name]
        assert list(entry["per_seed"].values()) == pytest.approx(list(same["per_seed"].values()))
        for key in ("value", "ci_low", "ci_high"):
            assert entry[key] == pytest.approx(same[key]), name


def test_the_report_of_repeated_folds_says_so(tmp_path):
    table = make_predictions()
    both = pd.concat([table, table.assign(fold=table["fold"] + 3)])
    write_report(both, tmp_path, title="t", n_bootstrap=DRAWS)
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Repetitions</h2>" in page
    assert "0, repeat 1" in page
    assert "30 subjects are tested over 6 folds and pooled, each once per repetition" in page


def test_subjects_as_the_unit_are_judged_by_the_mean_of_their_sessions(tmp_path):
    table = make_predictions(sessions=3)
    keys = ["corpus", "subject", "split", "fold", "seed", "y_true", "gender", "instrument"]
    by_hand = table.groupby(keys)[["y_prob", "score", "score_pred"]].mean().reset_index()
    content, expected = numbers(table, unit="subject"), numbers(by_hand.assign(session="mean"))
    assert (content["unit"], expected["unit"]) == ("subject", "session")
    for name, entry in content["metrics"].items():
        same = expected["metrics"][name]
        for key in ("value", "ci_low", "ci_high"):
            assert entry[key] == pytest.approx(same[key]), name
    assert content["thresholds"] == nearly(expected["thresholds"])
    assert content["counts"]["test"]["sessions"] == content["counts"]["test"]["subjects"] == 30
    auroc = numbers(table)["metrics"]["auroc"]["value"]
    assert content["metrics"]["auroc"]["value"] > auroc  # a mean of three is less noisy
    write_report(table, tmp_path, title="subjects", n_bootstrap=DRAWS, unit="subject")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Evaluation of 30 subjects" in page.text
    assert page.text.count("Unit: one subject, judged by the mean") == 4
    mixed = table.assign(y_true=(table["session"] == "1").astype(int))
    with pytest.raises(
        PredictionTableError, match=r"another session of this subject .* unit session"
    ):
        numbers(mixed, unit="subject")


def test_order_of_rows_and_a_number_as_id_change_nothing():
    table = make_predictions()
    shuffled = table.sample(frac=1, random_state=0)
    expected = nearly(numbers(table))
    assert numbers(shuffled) == expected
    numeric = table.assign(session=table["session"].astype(int))
    assert numbers(numeric) == expected


def test_groups_are_cut_from_the_same_decisions():
    table = make_predictions()
    content = numbers(table)
    women = table[(table["split"] == "test") & (table["gender"] == "female")]
    entry = content["subgroups"]["gender"]["female"]
    assert entry["subjects"] == women["subject"].nunique()
    expected = sk.roc_auc_score(women["y_true"], women["y_prob"])
    assert entry["auroc"]["value"] == pytest.approx(expected)
    assert numbers(table.assign(gender="female"))["subgroups"] == {}
    assert numbers(table.drop(columns="gender"))["subgroups"] == {}


def test_certain_answers_come_with_a_wilson_interval():
    table = make_predictions()
    table["y_prob"] = 0.1 + 0.8 * table["y_true"]
    content = numbers(only("binary", table))
    assert content["metrics"]["accuracy"]["ci_low"] == 1
    assert any("Wilson" in note and "0.886 to 1.000" in note for note in content["warnings"])


def test_one_class_in_the_test_is_undefined_not_wrong():
    table = make_predictions()
    content = numbers(table[(table["split"] != "test") | (table["y_true"] == 0)])
    assert content["metrics"]["auroc"]["value"] is None
    assert content["metrics"]["specificity"]["value"] is not None
    assert content["verdict"]["outcome"] == "undefined"
    assert any("undefined" in note and f"AUROC ({DRAWS})" in note for note in content["warnings"])


def test_calibration_stands_in_the_file_and_on_the_page(tmp_path):
    table = make_predictions(subjects=90, seeds=(0, 1))
    table["gate_std"] = (table["y_true"] - table["y_prob"]).abs()
    content = write_report(table, tmp_path, title="calibration", n_bootstrap=DRAWS)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    binary = content["calibration"]["binary"]
    assert binary["gate_std"]["spearman"]["value"] == pytest.approx(1)
    assert "Spread under sampled fusion gates" in page.text
    tested = table[table["split"] == "test"]
    brier = np.mean(
        [sk.brier_score_loss(t["y_true"], t["y_prob"]) for _, t in tested.groupby("seed")]
    )
    assert binary["before"]["brier"]["value"] == pytest.approx(brier)
    assert len(binary["temperature"]["fits"]) == 6
    assert "offered from 50 on" in binary["isotonic"]["unavailable"]
    assert binary["isotonic"]["unavailable"] in page.text
    assert [entry["alpha"] for entry in binary["conformal"]] == [0.1, 0.2]
    assert len(content["calibration"]["severity"]["conformal"][0]["fits"]) == 6
    labels = {"Share of positives against mean probability, by bin"}
    labels |= {"Risk of the most confident sessions, by coverage"}
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert labels <= set(re.findall(r'aria-label="([^"]+)"', html))


def test_without_validation_nothing_is_fitted_and_the_page_says_so(tmp_path):
    table = make_predictions()
    write_report(table[table["split"] != "validation"], tmp_path, title="none", n_bootstrap=DRAWS)
    calibration = json.loads((tmp_path / "metrics.json").read_text())["calibration"]
    for part in ("temperature", "isotonic", "conformal"):
        assert "no validation rows with y_true" in calibration["binary"][part]["unavailable"]
    assert "score" in calibration["severity"]["conformal"]["unavailable"]
    assert calibration["binary"]["before"]["ece"]["value"] > 0
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "nothing is fitted on test rows" in page.text


# ---- files -------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Text of the cells that carry ``data-field`` or ``data-cell``; tags; text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.ids, self.cells, self.text = [], [], {}, ""
        self._metric, self._field = None, None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self._metric = given.get("data-metric", self._metric)
        self._field = given.get("data-cell") or (
            (self._metric, given["data-field"]) if "data-field" in given else self._field
        )

    def handle_data(self, data):
        self.text += data
        if self._field and data.strip():
            self.cells[self._field] = data.strip()
            self._field = None


@pytest.fixture(scope="module")
def history():
    epochs = np.tile(np.arange(4), 2)
    return pd.DataFrame(
        {
            "epoch": epochs,
            "fold": np.repeat([0, 1], 4),
            "train_loss": 1 / (1 + epochs),
            "val_loss": 1.2 / (1 + epochs),
            "val_auroc": 0.5 + 0.1 * epochs,
            "learning_rate": 0.001,
        }
    )


@pytest.fixture(scope="module")
def write_full(history):
    """Write a report with every section; every text that a user gives is hostile."""
    table = make_predictions(seeds=(0, 1))
    table["subject"] += EVIL
    table.loc[table["gender"] == "male", "gender"] = EVIL

    def write(out):
        return write_report(
            table,
            out,
            title=f"Title {EVIL}",
            config_text=f"name: {EVIL}",
            history=history,
            environment={"python": "3.11", "packages": {"torch": EVIL}},
            command=f"run {EVIL} && more",
            audit={
                "verdict": "PASS",
                "findings": [{"severity": "warning", "name": "cut_off_mismatch", "message": EVIL}],
                "not_checked": [],
            },
            n_bootstrap=DRAWS,
        )

    return write


@pytest.fixture(scope="module")
def full_report(tmp_path_factory, write_full):
    """Folder of that report and what ``write_report`` returned."""
    folder = tmp_path_factory.mktemp("report") / "new" / "run"
    return folder, write_full(folder)


def test_page_says_what_the_file_says(full_report):
    folder, content = full_report
    assert sorted(p.name for p in folder.iterdir()) == FILES
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == content
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    for name, entry in content["metrics"].items():
        for field in ("value", "ci_low", "ci_high"):
            shown = float(page.cells[name, field].replace("\N{MINUS SIGN}", "-"))
            assert shown == pytest.approx(entry[field], abs=0.0005), (name, field)
        if entry["baseline"]:
            assert float(page.cells[name, "baseline"]) == pytest.approx(
                entry["baseline"]["value"], abs=0.0005
            )
    for cell in ("tn", "fp", "fn", "tp"):
        assert float(page.cells[cell]) == content["confusion"][cell]
    assert content["verdict"]["text"] in page.text
    assert "not a diagnostic device" in page.text
    for threshold in content["thresholds"]:
        assert f"{threshold['value']:.3f}" in page.text


def test_page_escapes_everything_and_refers_to_nothing(full_report):
    html = (full_report[0] / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert "script" not in page.tags
    # title twice, group and its four gaps, config, package, command, audit: shown as text, none of
    # it as markup
    assert page.text.count(EVIL) == 11
    assert not re.search(r"https?:|//\w|@import|url\((?!#)", html)
    assert not {"link", "img", "iframe", "object"} & set(page.tags)
    assert len(page.ids) == len(set(page.ids))
    assert all(f'id="{name}"' in html for name in set(re.findall(r"url\(#([\w-]+)\)", html)))
    labels = re.findall(r'aria-label="([^"]+) over epochs"', html)
    assert labels == ["Loss", "AUROC on validation sessions", "Learning rate"]
    assert "Epoch" in page.text  # text of figures is text
    assert "False positive rate" in page.text


def test_same_input_same_bytes(tmp_path, full_report, write_full):
    """In one process: another processor may write another last digit."""
    write_full(tmp_path)
    for name in ("metrics.json", "report.html"):
        assert (tmp_path / name).read_bytes() == (full_report[0] / name).read_bytes()


def test_severity_report_shows_bands_of_the_instrument(tmp_path):
    table = only("severity", make_predictions())
    content = write_report(table, tmp_path, title="severity", n_bootstrap=DRAWS)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert content["targets"] == ["severity"]
    assert content["confusion"] is None
    for words in ("Measured severity (BDI-II points)", "moderate", "constant mean", "RMSE"):
        assert words in page.text
    assert "ROC" not in page.text
    other = table.assign(instrument="own $scale")
    write_report(other, tmp_path, title="severity", n_bootstrap=DRAWS)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Measured severity (points)" in page.text
    assert "moderate" not in page.text


def test_report_without_groups_history_or_positives(tmp_path):
    table = only("binary", make_predictions()).drop(columns=["gender", "instrument"])
    table = table[(table["split"] != "test") | (table["y_true"] == 0)]
    write_report(table, tmp_path, title="little", n_bootstrap=DRAWS)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Cannot be judged" in page.text
    assert page.cells["auroc", "value"] == "\N{EN DASH}"


def test_a_failed_report_leaves_the_old_one(tmp_path, monkeypatch):
    table = only("binary", make_predictions())
    write_report(table, tmp_path, title="first", n_bootstrap=DRAWS)
    before = (tmp_path / "metrics.json").read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("depmm.evaluation.reports.rendering.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(table, tmp_path, title="second", n_bootstrap=DRAWS + 1)
    assert (tmp_path / "metrics.json").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES
