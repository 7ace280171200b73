"""Command that trains on some corpora and tests on others."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depmm.cli.application import (
    ConfigName,
    Overrides,
    UnitName,
    app,
    echo,
    parse_seeds,
)

if TYPE_CHECKING:
    from depmm.training.cross_corpus import CorpusLocation


@app.command()
def cross_corpus(
    config: ConfigName,
    overrides: Overrides = None,
    train: Annotated[
        str, typer.Option(metavar="CORPUS,...", help="corpora to train and validate on")
    ] = "",
    test: Annotated[str, typer.Option(metavar="CORPUS,...", help="corpora to test on")] = "",
    all_pairs: Annotated[
        str,
        typer.Option(
            metavar="CORPUS,...",
            help="instead of --train and --test: train on each of them and test on each other, "
            "with a cross-validation within each",
        ),
    ] = "",
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MANIFEST:STORE",
            help="manifest and store of a corpus; default: corpora/NAME/manifest:stores/NAME; may "
            "be repeated",
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="comma-separated seeds; the split stays the same")
    ] = "0",
    audit: Annotated[
        Path | None,
        typer.Option(
            help="folder of an audit of all corpora (depmm audit MANIFEST... --out DIR): corpora "
            "with similar or copied subjects in it are refused as well"
        ),
    ] = None,
    unit: UnitName = "session",
) -> None:
    """Train on some corpora, and test on others.

    Writes the matrix of the results. Finished runs are kept.
    """
    from depmm.training.cross_corpus import cross_corpus as run_rows
    from depmm.training.cross_corpus import plan_rows
    from depmm.training.cross_corpus_report import report_cross_corpus

    chosen = parse_seeds(seeds)
    rows = plan_rows(_names(train), _names(test), _names(all_pairs))
    locations = dict(_parse_corpus(text) for text in corpus or ())
    runs = run_rows(config, rows, locations, overrides, chosen, audit)
    content = report_cross_corpus(runs, unit)
    for cell in content["cells"]:
        for name in content["headline"]:
            entry = cell["metrics"][name]
            what = f"{' + '.join(cell['train'])} to {cell['test']}"
            if entry["undefined"]:
                echo(f"{what:40s} {name:18s} undefined: {entry['undefined']}")
                continue
            baseline = entry["baseline"]
            beside = f"   baseline {baseline['value']:.3f}" if baseline else ""
            interval = (
                f"[{entry['ci_low']:.3f}, {entry['ci_high']:.3f}]"
                if entry["ci_low"] is not None
                else "[no interval]"
            )
            echo(f"{what:40s} {name:18s} {entry['value']:.3f} {interval}{beside}")
    echo(f"{runs.path}/cross_corpus.html")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _parse_corpus(text: str) -> "tuple[str, CorpusLocation]":
    from depmm.training.cross_corpus import CorpusLocation

    name, equals, places = text.partition("=")
    manifest, colon, store = places.partition(":")
    if not (name and equals and manifest and colon and store):
        raise typer.BadParameter(
            f"{text!r}: write NAME=MANIFEST:STORE, e.g. eatd=corpora/eatd/manifest:stores/eatd",
            param_hint="--corpus",
        )
    return name, CorpusLocation(Path(manifest), store)
