"""Parameters by search: many trials of a head, the best of which becomes a run.

`space.py` is what is searched, `study.py` the file that the trials are kept in, `trials.py` how one is scored,
`search.py` the sweep of one head, `halving.py` a time spent on several, `outcome.py` what came out, `picture.py` draws
it. A trial is scored on folds of the training split; `fit_head` scores the test split once, for the run. Optuna
is imported in `study.py` alone.

    runs/sweeps/mlp-3f9a12bc.db      head; then a hash of all that a trial's score depends on
"""

from stages.sweep.result import SweepResult, SweepTrial
from stages.sweep.search import SweepProgress, sweep
from stages.sweep.space import SearchSpace
from stages.sweep.successive_halving import parse_duration, sweep_all

__all__ = [
    "SearchSpace",
    "SweepProgress",
    "SweepResult",
    "SweepTrial",
    "parse_duration",
    "sweep",
    "sweep_all",
    "write_picture",
]
