"""From scores to labels: rules, and how one is chosen on out-of-fold scores.

`rules.py` is what a run keeps, `single.py`, `multilabel.py` and `ordinal.py` fit families of rules from rigid to free
(`search.py` is their common arithmetic), `tuning.py` chooses among them by cross-fitting, `evidence.py` says why.
Nothing here sees a document or a head, and nothing the test split.
"""

from heads.evaluation.decisions.evidence import Evidence, RuleComparison
from heads.evaluation.decisions.rules import DecisionRule, rule_from_json
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
