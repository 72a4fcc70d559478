"""Decision rules: how scores become labels, and how a rule is selected on out-of-fold scores.

`rules` are the values that a run stores. `single_label` and `multilabel` fit families of rules from the most
constrained to the most flexible, with the arithmetic of `search`; `tuning` selects among them by cross-fitting, and
`evidence` records why. `decision` is the rule with its optional parts: calibration, label shift, abstention and label
sets. `heldout` is the test split, which can be scored once. Except there, nothing here sees a
document or a head.
"""

from heads.evaluation.decisions.decision import ABSTAINED, OTHER, REASONS, Decision
from heads.evaluation.decisions.evidence import Evidence, RuleComparison
from heads.evaluation.decisions.rule_json import rule_from_json
from heads.evaluation.decisions.rules import DecisionRule
from heads.evaluation.decisions.tuning import default_decision, tune_decision

__all__ = [
    "ABSTAINED",
    "OTHER",
    "REASONS",
    "Decision",
    "DecisionRule",
    "Evidence",
    "RuleComparison",
    "default_decision",
    "rule_from_json",
    "tune_decision",
]
