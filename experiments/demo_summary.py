"""Print the figures of ``make demo`` beside the expected ones, and where to look.

    python experiments/demo_summary.py [RUNS]

RUNS is the folder of the runs, ``runs`` by default. The expected figures are those of
``experiments/results/demo_seeds.json``: means over ten seeds of corpus and training, with the
99.9 % prediction interval of one further seed (Student's t). ``make demo`` runs seed 0, none of the
ten. The exit status is 1 if a figure is outside of its interval: something is broken, or a
modality that should carry no information has become informative.

The level is approximate. Shares and AUROCs are transformed, because those near 1 are skewed; if
most of ten seeds have an AUROC of 1, a further seed is outside in about 3 % of simulated studies.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from depmm.interpret.attribution.face_regions import THIRDS

SEEDS_FILE = Path(__file__).parent / "results" / "demo_seeds.json"
COVERAGE = 0.999
CORPORA = {
    "demo": "additive: voice and face are informative",
    "demo_fusion": "fusion is needed: the label is in the agreement of voice and face",
}
SYSTEMS = {
    "": "DEP-Former",
    "_audio_only": "voice only",
    "_face_only": "face only",
    "_sum": "sum of the two logits",
}
DIFFERENCE = "DEP-Former minus sum"
REGIONS = {"region_occlusion": "occlusion", "region_attributions": "Grad-CAM"}


@dataclass(frozen=True)
class Figure:
    """An AUROC, a difference of two, or a share of attributions, with its 95 % interval."""

    corpus: str
    system: str
    value: float
    low: float
    high: float


def read_figures(runs: Path) -> list[Figure]:
    """Read the figures of both corpora from the comparisons of their runs.

    Parameters
    ----------
    runs : Path
        Folder of the runs.
    """
    figures = []
    for corpus in CORPORA:
        metrics = json.loads((runs / f"{corpus}_compared" / "metrics.json").read_text("utf-8"))
        for suffix, system in SYSTEMS.items():
            auroc = metrics["runs"][f"{corpus}{suffix}"]["metrics"]["auroc"]
            figures.append(
                Figure(corpus, system, auroc["value"], auroc["ci_low"], auroc["ci_high"])
            )
        pair = ("auroc", corpus, f"{corpus}_sum")
        row = next(
            row
            for row in metrics["comparison"]
            if (row["metric"], row["run_a"], row["run_b"]) == pair
        )
        figures.append(Figure(corpus, DIFFERENCE, row["difference"], row["ci_low"], row["ci_high"]))
    return figures + read_planted_region(runs / "demo_fusion", read_region(runs))


def read_region(runs: Path) -> str:
    """Read from the truth beside the runs in which third of the face the effect was planted.

    Parameters
    ----------
    runs : Path
        Folder of the runs.
    """
    truth = runs.parent / "corpora" / "demo_fusion" / "recordings" / "truth.json"
    return str(json.loads(truth.read_text("utf-8"))["planted_region"]["third"])


def read_planted_region(run: Path, region: str) -> list[Figure]:
    """Read which share of the attributions to regions of the face is in the planted one.

    Of an attribution with a sign, the absolute values are added. A share of 1/3 is that of an
    explanation that knows nothing. The interval is that of the mean over subjects (Student's t).

    Parameters
    ----------
    run : Path
        Folder of a run that was explained with ``grad_cam`` and ``region_occlusion``.
    region : str
        Planted region.
    """
    figures = []
    for name, method in REGIONS.items():
        table = pd.read_parquet(run / f"{name}.parquet")
        column = "occlusion" if name == "region_occlusion" else "share"
        table = table[table["region"].isin(THIRDS)]  # and no frequency band of the voice
        size = table.assign(size=table[column].abs()).pivot_table(
            "size", index="subject", columns="region", aggfunc="sum"
        )
        share = (size[region] / size.sum(axis=1)).dropna()
        half = stdtrit(len(share) - 1, 0.975) * share.std() / math.sqrt(len(share))
        mean = float(share.mean())
        figures.append(Figure("demo_fusion", f"{method}: {region}", mean, mean - half, mean + half))
    return figures


def prediction_interval(values: Sequence[float], lowest: float = 0.0) -> tuple[float, float]:
    """Compute the interval that contains the value of a further seed with 99.9 % probability.

    Values from 0 to 1 are transformed by ``arcsin(sqrt(value))``, on whose scale the distribution
    of an AUROC of .98 or .997 is less skewed.

    Parameters
    ----------
    values : sequence of float
        One value per seed.
    lowest : float, default 0.0
        Smallest possible value; the largest is 1. Differences (-1) are not transformed.
    """
    n = len(values)
    share = lowest == 0
    x = np.arcsin(np.sqrt(np.clip(values, 0, 1))) if share else np.asarray(values)
    half = stdtrit(n - 1, (1 + COVERAGE) / 2) * np.std(x, ddof=1) * math.sqrt(1 + 1 / n)
    bounds = np.array([np.mean(x) - half, np.mean(x) + half])
    if share:
        bounds = np.sin(np.clip(bounds, 0, np.pi / 2)) ** 2
    return max(lowest, float(bounds[0])), min(1.0, float(bounds[1]))


def read_expected(path: Path = SEEDS_FILE) -> dict[tuple[str, str], dict[str, float]]:
    """Read mean and prediction interval of each figure; empty if none was recorded.

    Parameters
    ----------
    path : Path, optional
        The results file.
    """
    if not path.is_file():
        return {}
    rows = json.loads(path.read_text("utf-8"))["rows"]
    return {
        (row["corpus"], row["system"]): {
            "value": row["mean"]["value"],
            "low": row["lowest expected"],
            "high": row["highest expected"],
        }
        for row in rows
    }


def summarise(
    figures: Sequence[Figure], expected: dict[tuple[str, str], dict[str, float]]
) -> tuple[list[str], list[Figure]]:
    """Write the table, and find the figures outside of their expected interval.

    Parameters
    ----------
    figures : sequence of Figure
        From ``read_figures``.
    expected : dict of (str, str) to dict
        From ``read_expected``.
    """
    lines, outside = [], []
    for corpus, text in CORPORA.items():
        lines += ["", f"{corpus} ({text})", f"  {'AUROC':24}{'here [95 % CI]':26}expected"]
        for figure in (figure for figure in figures if figure.corpus == corpus):
            if figure.system.startswith(f"{next(iter(REGIONS.values()))}:"):
                lines.append("  share of the attributions to the face that is in the planted third")
            known = expected.get((corpus, figure.system))
            here = f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
            line = f"  {figure.system:24}{here:26}"
            if known:
                line += f"{known['value']:.3f} ({known['low']:.3f} to {known['high']:.3f})"
                if not known["low"] - 5e-4 <= figure.value <= known["high"] + 5e-4:
                    outside.append(figure)
                    line += "  OUTSIDE"
            lines.append(line)
    return lines, outside


def main(arguments: list[str]) -> None:
    """Print the summary; exit with 1 if a figure is outside of its interval."""
    runs = Path(arguments[0] if arguments else "runs")
    expected = read_expected()
    lines, outside = summarise(read_figures(runs), expected)
    print("\n".join(lines))
    if expected:
        print(
            "\nexpected: mean of other seeds and the 99.9 % prediction interval of one further seed"
        )
    else:
        print("\nno expected figures: record them with experiments/demo_seeds.py")
    print("\nlook at:")
    for corpus in CORPORA:
        print(f"  {runs}/{corpus}/report.html     metrics, baselines, calibration, subgroups")
        print(
            f"  {runs}/{corpus}/explorer.html   words, sessions and steps with their attributions"
        )
        print(f"  {runs}/{corpus}_compared/report.html   fusion, its halves and their sum")
    if outside:
        names = ", ".join(f"{figure.corpus}: {figure.system}" for figure in outside)
        raise SystemExit(f"\nOutside of the expected interval: {names}")


if __name__ == "__main__":
    main(sys.argv[1:])
