"""All settings have descriptions and are strict."""

import pytest

import depmm.config
from depmm.config import Settings

SECTIONS = sorted(
    (
        section
        for section in vars(depmm.config).values()
        if isinstance(section, type) and issubclass(section, Settings) and section is not Settings
    ),
    key=lambda section: section.__name__,
)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_setting_has_a_description(section):
    assert section.__doc__
    assert section.model_fields
    for name, field in section.model_fields.items():
        assert field.description, f"{section.__name__}.{name}"
        assert not field.description.endswith("."), f"{section.__name__}.{name}"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_section_is_strict_and_immutable(section):
    assert section.model_config["extra"] == "forbid"
    assert section.model_config["strict"]
    assert section.model_config["frozen"]
