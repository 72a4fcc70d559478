"""Decision rules: how scores become labels, and how a rule is selected on out-of-fold scores.

`rules` are the values that a run stores. `single_label` and `multilabel` fit families of rules from the most
constrained to the most flexible, with the arithmetic of `search`; `tuning` selects among them by cross-fitting, and
`evidence` records why. `heldout` is the test split, which can be scored once. Except there, nothing here sees a
document or a head.
"""

from heads.evaluation.decisions.evidence import Evidence, RuleComparison
from heads.evaluation.decisions.rule_json import rule_from_json
from heads.evaluation.decisions.rules import DecisionRule
from heads.evaluation.decisions.tuning import Decision, decision_from_json, default_decision, tune_decision

__all__ = [
    "Decision",
    "DecisionRule",
    "Evidence",
    "RuleComparison",
    "decision_from_json",
    "default_decision",
    "rule_from_json",
    "tune_decision",
]
