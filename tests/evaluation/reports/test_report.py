"""The report of one run: the page shows what metrics.json contains."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from report_html import ReportPage
from report_predictions import make_predictions, noisy_predictions, one_target

from depmm.evaluation.reports.report import write_report

DRAWS = 100
FILES = ["SHA256SUMS", "metrics.json", "report.html", "tables.md", "tables.tex"]
HOSTILE = "<script>alert(1)</script>"


def test_repeated_folds_have_a_section(tmp_path):
    table = make_predictions()
    both = pd.concat([table, table.assign(fold=table["fold"] + 3)])
    write_report(both, tmp_path, title="t", n_bootstrap=DRAWS, confidence=0.95)
    page = (tmp_path / "report.html").read_text()
    assert '<h2 id="repetitions">Repetitions</h2>' in page
    assert "0, repeat 1" in page
    assert "30 subjects are tested in 6 folds" in page
    assert "each once per repetition" in page


def test_calibration_is_in_the_file_and_on_the_page(tmp_path):
    table = make_predictions(subjects=90, seeds=(0, 1))
    table["gate_std"] = (table["y_true"] - table["y_prob"]).abs()
    content = write_report(table, tmp_path, title="calibration", n_bootstrap=DRAWS, confidence=0.95)
    page = ReportPage((tmp_path / "report.html").read_text(encoding="utf-8"))
    binary = content["calibration"]["binary"]
    assert binary["gate_std"]["spearman"]["value"] == pytest.approx(1)
    assert "sampled fusion gates" in page.text
    test = table[table["split"] == "test"]
    brier = np.mean(
        [sk.brier_score_loss(t["y_true"], t["y_prob"]) for _, t in test.groupby("seed")]
    )
    assert binary["before"]["brier"]["value"] == pytest.approx(brier)
    assert len(binary["logistic"]["fits"]) == 6
    assert binary["isotonic"]["unavailable"] in page.text
    assert [entry["alpha"] for entry in binary["conformal"]] == [0.1, 0.2]
    assert len(content["calibration"]["severity"]["conformal"][0]["fits"]) == 6
    labels = {"Share of positives against mean probability, by bin"}
    labels |= {"Risk of the most confident sessions, by coverage"}
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert labels <= set(re.findall(r'aria-label="([^"]+)"', html))


def test_without_validation_rows_nothing_is_fitted(tmp_path):
    table = make_predictions()
    write_report(
        table[table["split"] != "validation"],
        tmp_path,
        title="none",
        n_bootstrap=DRAWS,
        confidence=0.95,
    )
    calibration = json.loads((tmp_path / "metrics.json").read_text())["calibration"]
    page = ReportPage((tmp_path / "report.html").read_text(encoding="utf-8"))
    for part in ("logistic", "isotonic", "conformal"):
        assert list(calibration["binary"][part]) == ["unavailable"]
        assert calibration["binary"][part]["unavailable"] in page.text
    assert list(calibration["severity"]["conformal"]) == ["unavailable"]
    assert calibration["binary"]["before"]["ece"]["value"] > 0


@pytest.mark.parametrize("has_validation", [True, False])
def test_the_report_does_not_say_how_the_thresholds_of_a_table_were_chosen(
    tmp_path, has_validation
):
    table = make_predictions().assign(threshold=0.3)
    if not has_validation:
        table = table[table["split"] != "validation"]
    content = write_report(table, tmp_path, title="t", n_bootstrap=DRAWS, confidence=0.95)
    assert content["threshold_setting"] == "column"
    page = ReportPage((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "the column threshold of the table; how it was chosen is not known" in page
    assert "no threshold was chosen on them" not in page
    assert "the threshold, which is chosen on the validation sessions" not in page
    [line] = [line for line in content["leakage"] if line["name"] == "thresholds"]
    assert line["status"] == "not checked"


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
    """Return a function that writes a report with every section and with hostile texts."""
    table = make_predictions(seeds=(0, 1))
    table["subject"] += HOSTILE
    table.loc[table["gender"] == "male", "gender"] = HOSTILE

    def write(out):
        return write_report(
            table,
            out,
            title=f"Title {HOSTILE}",
            config_text=f"name: {HOSTILE}",
            history=history,
            environment={"python": "3.11", "packages": {"torch": HOSTILE}},
            command=f"run {HOSTILE} && more",
            audit={
                "verdict": "PASS",
                "findings": [
                    {"severity": "warning", "name": "cut_off_mismatch", "message": HOSTILE}
                ],
                "not_checked": [],
                "checks": ["cut_off_mismatch"],
            },
            n_bootstrap=DRAWS,
            confidence=0.95,
        )

    return write


@pytest.fixture(scope="module")
def full_report(tmp_path_factory, write_full):
    """Return the folder of this report and what ``write_report`` returned."""
    folder = tmp_path_factory.mktemp("report") / "new" / "run"
    return folder, write_full(folder)


def test_the_page_shows_the_values_of_the_file(full_report):
    folder, content = full_report
    assert sorted(p.name for p in folder.iterdir()) == FILES
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == content
    page = ReportPage((folder / "report.html").read_text(encoding="utf-8"))
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


def test_the_page_is_escaped_and_self_contained(full_report):
    html = (full_report[0] / "report.html").read_text(encoding="utf-8")
    page = ReportPage(html)
    assert "script" not in page.tags
    # twice the title, the subgroup, its four differences and its table of levels, config, package,
    # command, audit; and once in the genders of ten groups of subjects, each for three labels
    assert page.text.count(HOSTILE) == 12 + 3 * 10
    assert not re.search(r"https?:|//\w|@import|url\((?!#)", html)
    assert not {"link", "img", "iframe", "object"} & set(page.tags)
    assert len(page.ids) == len(set(page.ids))
    assert all(f'id="{name}"' in html for name in set(re.findall(r"url\(#([\w-]+)\)", html)))
    labels = re.findall(r'aria-label="([^"]+) over epochs"', html)
    assert labels == ["Loss", "AUROC on validation sessions", "Learning rate"]
    assert "Epoch" in page.text  # text of figures is text
    assert "False positive rate" in page.text


def test_the_same_input_gives_the_same_bytes(tmp_path, full_report, write_full):
    """Compare within one process: another processor may give another last digit."""
    write_full(tmp_path)
    for name in ("metrics.json", "report.html"):
        assert (tmp_path / name).read_bytes() == (full_report[0] / name).read_bytes()


def test_a_severity_report_shows_the_levels_of_the_instrument(tmp_path):
    table = one_target("severity", make_predictions())
    content = write_report(table, tmp_path, title="severity", n_bootstrap=DRAWS, confidence=0.95)
    page = ReportPage((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert content["targets"] == ["severity"]
    assert content["confusion"] is None
    for words in ("Measured severity (BDI-II points)", "moderate", "constant mean", "RMSE"):
        assert words in page.text
    assert "ROC" not in page.text
    other = table.assign(instrument="other $scale")
    write_report(other, tmp_path, title="severity", n_bootstrap=DRAWS, confidence=0.95)
    page = ReportPage((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Measured severity (points)" in page.text
    assert "moderate" not in page.text


def test_a_report_without_subgroups_history_and_positives(tmp_path):
    table = one_target("binary", make_predictions()).drop(columns=["gender", "instrument"])
    table = table[(table["split"] != "test") | (table["y_true"] == 0)]
    write_report(table, tmp_path, title="little", n_bootstrap=DRAWS, confidence=0.95)
    page = ReportPage((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert 'data-verdict="undefined"' in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.cells["auroc", "value"] == "undefined"


def test_a_failed_report_leaves_the_old_one(tmp_path, monkeypatch):
    table = one_target("binary", make_predictions())
    write_report(table, tmp_path, title="first", n_bootstrap=DRAWS, confidence=0.95)
    before = (tmp_path / "metrics.json").read_bytes()

    class DiskFullError(OSError):
        pass

    def fail(self, target):
        raise DiskFullError

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(DiskFullError):
        write_report(table, tmp_path, title="second", n_bootstrap=DRAWS + 1, confidence=0.95)
    assert (tmp_path / "metrics.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    coverage = {
        "n_sessions": 30,
        "n_predicted": 24,
        "excluded": [
            {"reason": "label is missing", "n_sessions": 6, "sessions": ["c/<q1>/1"] * 6},
        ],
        "failures": [
            {"session": "c/q9/1", "stage": "face", "file": "x.mp4", "cause": "<none>", "remedy": ""}
        ],
    }
    settings = {"coverage": coverage, "n_bootstrap": DRAWS, "confidence": 0.9}
    return out, write_report(noisy_predictions(0.2), out, title="a_run", **settings)


def test_severity_levels_are_counted(evaluated):
    out, content = evaluated
    assert content["levels"]["names"] == ["minimal", "mild", "moderate", "severe"]
    counts = np.array(content["levels"]["counts"])
    assert counts.sum() == 24
    assert counts[0, 0] == counts[2, 2] == 12  # 5 and 25 points, predicted within a point
    page = (out / "report.html").read_text(encoding="utf-8")
    assert 'data-cell="level-2-of-moderate"' in page
    assert (
        f"Kappa with quadratic weights {content['metrics']['quadratic_kappa']['value']:.3f}" in page
    )
    assert 'aria-label="Precision-recall curve' in page


def test_sessions_without_a_prediction_are_listed(evaluated):
    out, content = evaluated
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "24 of the 30 sessions of the manifest have a prediction" in page
    assert "c/&lt;q1&gt;/1" in page
    assert "1 extraction failure" in page
    assert "&lt;none&gt;" in page
    assert content["coverage"]["excluded"][0]["n_sessions"] == 6
