"""Write the page of every published system from ``docs/systems/*.yaml`` and the configs.

A row of a system is one point of its paper. A row with ``setting`` shows the value of this setting
in the config of the system, read when the page is written; ``published`` is the value of the
setting that corresponds to the paper. A row without ``setting`` is fixed in the code, which
``here`` describes. ``make systems`` writes the pages, and a test compares them with the configs.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from depmm.config import Config, load_config

FOLDER = Path(__file__).parent / "systems"
UNSTATED = "not stated"
# settings that every page explains, also where a config leaves them at their defaults
ALWAYS_EXPLAINED = (
    "target.output",
    "training.batch_size",
    "training.class_balance",
    "training.decay_biases",
    "training.epochs",
    "training.learning_rate",
    "training.max_grad_norm",
    "training.optimizer",
    "training.patience",
    "training.schedule",
    "training.weight_decay",
)
# where the data are, and how fast they are read; the method does not depend on it
NOT_EXPLAINED = (
    "name", "seed", "evaluation.confidence", "evaluation.n_bootstrap",
    "evaluation.n_gate_samples", "extract", "data.manifest", "data.store", "data.workers",
    "training.mixed_precision", "training.weights",
)  # fmt: skip


class Row(BaseModel):
    """One point of a paper.

    Attributes
    ----------
    point : str
        What the row is about.
    paper : str
        What the paper says; "not stated" if it does not.
    source : str
        Section, equation, figure or table; empty if the paper does not say anything.
    setting : str, optional
        Setting of the config that implements the point.
    published : object, optional
        Value of the setting that corresponds to the paper.
    here : str
        What the code does, if no setting implements the point; "same" if it does what the paper
        says.
    reason : str
        Reason of a deviation, or of a choice where the paper is silent.
    """

    model_config = ConfigDict(extra="forbid")

    point: str
    paper: str = UNSTATED
    source: str = ""
    setting: str = ""
    published: Any = None
    here: str = ""
    reason: str = ""

    @model_validator(mode="after")
    def _is_complete(self) -> "Row":
        if bool(self.setting) == bool(self.here):
            raise ValueError(f"{self.point}: give either setting or here")
        if (self.paper == UNSTATED) == bool(self.source):
            raise ValueError(f"{self.point}: give a source if and only if the paper states it")
        return self


class System(BaseModel):
    """One published system.

    Attributes
    ----------
    title : str
        Heading of the page.
    citation : str
        The paper.
    config : str
        Name of the config that reproduces the paper; the rows show its settings.
    configs : dict of str to str
        Further configs of the system by name, with what they are.
    text : str
        Introduction, Markdown.
    rows : list of Row
        The points.
    unused : str
        What the paper or release contains and the config does not build, Markdown.
    """

    model_config = ConfigDict(extra="forbid")

    title: str
    citation: str
    config: str
    configs: dict[str, str] = {}
    text: str = ""
    rows: list[Row]
    unused: str = ""


def read_systems() -> dict[str, System]:
    """Read the systems, by the name of their page.

    Returns
    -------
    dict of str to System
        In alphabetical order.
    """
    return {
        path.stem: System.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        for path in sorted(FOLDER.glob("*.yaml"))
    }


def judge(row: Row, config: Config) -> str:
    """Compare a row with the config.

    Parameters
    ----------
    row : Row
        The point.
    config : Config
        Config of the system.

    Returns
    -------
    {"same", "deviation", "not stated"}
        The verdict.

    Raises
    ------
    ValueError
        If a deviation has no reason, or if a reason is given although nothing differs.
    """
    if row.paper == UNSTATED:
        return UNSTATED
    same = read_setting(config, row.setting) == row.published if row.setting else not row.reason
    if same == bool(row.reason):
        problem = "deviates without a reason" if not same else "has a reason, but does not deviate"
        raise ValueError(f"{config.name}: {row.point} {problem}")
    return "same" if same else "deviation"


def read_setting(config: Config, path: str) -> Any:
    """Read a setting as a YAML value.

    Parameters
    ----------
    config : Config
        The config.
    path : str
        Names of the sections and of the setting, separated by dots.

    Returns
    -------
    object
        The value.

    Raises
    ------
    AttributeError or KeyError
        If there is no such setting.
    """
    value: Any = config
    for name in path.split("."):
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    if isinstance(value, BaseModel):  # a section: what the config sets, without the defaults
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, list) and value and isinstance(value[0], BaseModel):
        return [item.model_dump(mode="json", exclude_unset=True) for item in value]
    return str(value) if isinstance(value, Path) else value


def unexplained_settings(system: System) -> list[str]:
    """List the settings that a config changes, or that every page explains, without a row.

    Parameters
    ----------
    system : System
        The system.

    Returns
    -------
    list of str
        Names of the settings.
    """
    config = load_config(system.config)
    changed = _leaves(config.model_dump(mode="json", exclude_unset=True))
    rows = {row.setting for row in system.rows}
    return [
        path
        for path in sorted({*changed, *ALWAYS_EXPLAINED})
        if not any(_contains(part, path) for part in (*rows, *NOT_EXPLAINED) if part)
        and not path.endswith(".kind")
    ]


def write_page(system: System) -> str:
    """Write the page of a system.

    Parameters
    ----------
    system : System
        The system.

    Returns
    -------
    str
        Markdown.
    """
    config = load_config(system.config)
    verdicts = [judge(row, config) for row in system.rows]
    configs = {system.config: "reproduces the paper", **system.configs}
    lines = [
        f"# {system.title}",
        system.citation,
        system.text.strip(),
        markdown_table(
            ["config", "what it is"], [[f"`{name}`", text] for name, text in configs.items()]
        ),
        f"The config `{system.config}` compared with the paper. Same: {verdicts.count('same')}; "
        f"deviations: {verdicts.count('deviation')}; not stated in the paper: "
        f"{verdicts.count(UNSTATED)}. The page is generated from the config.",
        markdown_table(
            ["point", "paper", "source", "here", "verdict", "reason"],
            [
                [row.point, row.paper, row.source, _here(row, config), verdict, row.reason]
                for row, verdict in zip(system.rows, verdicts, strict=True)
            ],
        ),
        system.unused.strip(),
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def _here(row: Row, config: Config) -> str:
    if not row.setting:
        return row.here
    value = read_setting(config, row.setting)
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n")
    return f"`{row.setting}: {text.strip()}`"


def _leaves(values: dict[str, Any], prefix: str = "") -> list[str]:
    paths = []
    for name, value in values.items():
        path = f"{prefix}{name}"
        paths += _leaves(value, f"{path}.") if isinstance(value, dict) and value else [path]
    return paths


def _contains(section: str, path: str) -> bool:
    return path == section or path.startswith(f"{section}.")


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """Write a table in Markdown.

    Parameters
    ----------
    header : list of str
        Names of the columns.
    rows : list of list of str
        Cells of each row; line breaks and vertical bars are replaced.

    Returns
    -------
    str
        The table.
    """
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    lines = [header, ["---"] * len(header), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Write every page."""
    for name, system in read_systems().items():
        (FOLDER / f"{name}.md").write_text(write_page(system), encoding="utf-8")


if __name__ == "__main__":
    main()
