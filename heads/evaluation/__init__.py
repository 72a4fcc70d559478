"""Evaluation: metrics with confidence intervals, aligned scores, and decision rules.

`confusion_counts` defines every metric once, `bootstrap` gives confidence intervals, `metrics` puts both into a
scorecard, and `score_matrix` aligns a head's scores with the columns of a run's labels. `count_table` counts many
samples at once, for `paired`, `randomization` and `selection_optimism`, which compare predictions. `decisions/` turns
scores into labels and holds the test split. Nothing here fits a head or reads
a file.
"""
