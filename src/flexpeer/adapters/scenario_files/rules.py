"""Rules that are changed beside a scenario's own, by the keys and values of `[rulebook]`."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from flexpeer.adapters.scenario_files.findings import Findings
from flexpeer.adapters.scenario_files.settings import RULE_KEYS, Settings, rule_keys
from flexpeer.adapters.scenario_files.toml_values import TomlSection
from flexpeer.app.scenario import Scenario
from flexpeer.errors import BadInput, bad_input
from flexpeer.market.rulebook import Rulebook
from flexpeer.quantities import MINOR_PER_MAJOR


def changed_rulebook(rulebook: Rulebook, rules: Mapping[str, Any], where: str) -> Rulebook:
    """The rulebook with these rules in place of its own; `BadInput` with a finding for each that is none."""
    findings = Findings(where)
    section = TomlSection("rulebook", {key: _exact(value) for key, value in rules.items()}, {}, findings)
    absent = object()
    values = {key.field: section.take(key.key, key.read, key.expected, absent) for key in rule_keys()}
    section.done()
    if found := findings.in_order():
        raise BadInput(found)
    return msgspec.structs.replace(rulebook, **{f: value for f, value in values.items() if value is not absent})


def with_rules(scenario: Scenario, rules: Mapping[str, Any], where: str) -> Scenario:
    """The scenario under changed rules; `BadInput` where what it has is not enough for them."""
    rulebook = changed_rulebook(scenario.rulebook, rules, where)
    settings = Settings(gridless=scenario.grid_source is None, rulebook=rulebook)
    if settings.needs_points and (scenario.congestion_points is None or scenario.impact_ppm is None):
        problem = f"with {rulebook.exchange} a scenario without a grid needs congestion points and impact factors"
        expected = 'congestion_points.csv and impact_factors.csv, a [grid], or "balanced"'
        raise bad_input(where, problem, expected, field="rulebook.exchange")
    return msgspec.structs.replace(scenario, rulebook=rulebook)


def rules_of(rulebook: Rulebook) -> dict[str, Any]:
    """Every rule as `[rulebook]` has it, those left at their default too; prices are major units, None is no rule."""
    keys = {field: RULE_KEYS.get(field, field) for field in rulebook.__struct_fields__ if field != "timeline"}
    return {key: _written(field, getattr(rulebook, field)) for field, key in keys.items()}


def _written(field: str, value: Any) -> Any:
    if field in RULE_KEYS and value is not None:
        return Decimal(value) / MINOR_PER_MAJOR
    return str(value) if isinstance(value, str) else value


def _exact(value: Any) -> Any:
    """A value as TOML would have given it: numbers of other libraries are Python's, floats the decimal they show."""
    value = value.item() if hasattr(value, "item") else value
    return Decimal(repr(value)) if isinstance(value, float) else value
