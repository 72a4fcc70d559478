"""Reads the rule that a run stores."""

from collections.abc import Mapping
from typing import Any

from heads.evaluation.decisions import expected_rules, hierarchical, node_thresholds, rules
from heads.evaluation.decisions.rules import DecisionRule

_RULES: Mapping[str, type[DecisionRule]] = {
    rule.family: rule
    for rule in (
        rules.Argmax,
        rules.LogitAdjustment,
        rules.PerLabelOffsets,
        rules.WeightedMedian,
        rules.FixedThreshold,
        rules.SingleThreshold,
        rules.PerLabelThresholds,
        rules.BestExpectedSet,
        hierarchical.GreedyDescent,
        node_thresholds.ConfidenceThreshold,
        hierarchical.BestExpectedHF,
        hierarchical.BestExpectedDistance,
        hierarchical.BestExpectedSimilarity,
        node_thresholds.BestPathMass,
        expected_rules.LowestExpectedCost,
        expected_rules.WeightedProbabilities,
        expected_rules.BestExpectedFBeta,
    )
}


def rule_from_json(content: Mapping[str, Any]) -> DecisionRule:
    """The rule that `to_json` returned. Raises ValueError for any other content."""
    values = {name: _to_tuple(value) for name, value in content.items()}
    family = str(values.pop("family", None))
    try:
        return _RULES[family](**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the content is not a decision rule: {error}") from error


def _to_tuple(value: Any) -> Any:
    return tuple(map(_to_tuple, value)) if isinstance(value, list) else value
