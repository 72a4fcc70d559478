"""Parameters by search: many trials of a head out of fold, the best of which becomes a run.

`space.py` is what is searched and how a trial is scored, `study.py` the file that the trials are kept in, `trials.py`
how one more is made, `search.py` how many of which head, `outcome.py` what came out, `page.py` draws it. Nothing here
reads the test split: `stages.fit_head` scores it once, for the run. Optuna is imported in `study.py` alone.
"""

from stages.sweep.outcome import Outcome
from stages.sweep.search import fit_best, sweep, sweep_all
from stages.sweep.space import METRICS, Metric, Space
from stages.sweep.trials import SweepProgress

__all__ = ["METRICS", "Metric", "Outcome", "Space", "SweepProgress", "fit_best", "sweep", "sweep_all"]
