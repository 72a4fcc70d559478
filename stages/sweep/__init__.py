"""Hyperparameter search: many trials of a head, the best of which becomes a run.

`space.py` is what is searched, `study.py` the file of the trials, `trial_scoring.py` how a trial is scored, `search.py`
the sweep of one head, `successive_halving.py` a time budget for several, `engine_trials.py` trials on an engine,
`result.py` what a sweep returns, `chart.py` its picture. A trial is scored on folds of the training split; `fit_head`
scores the test split once, for the run. Only `study.py` imports Optuna.

    runs/sweeps/mlp-3f9a12bc.db      the head, and a hash of everything that decides a trial's score
"""

from stages.sweep.engine_trials import EngineTrials, SweepInputs
from stages.sweep.result import SweepResult, SweepTrial
from stages.sweep.search import SweepProgress, TrialRunner, sweep
from stages.sweep.space import SearchSpace
from stages.sweep.successive_halving import parse_duration, sweep_all

__all__ = [
    "EngineTrials",
    "SearchSpace",
    "SweepInputs",
    "SweepProgress",
    "SweepResult",
    "SweepTrial",
    "TrialRunner",
    "parse_duration",
    "sweep",
    "sweep_all",
]
