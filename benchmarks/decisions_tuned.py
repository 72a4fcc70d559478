"""Decision rules that the embedonce of some checkout tunes, so that two commits are compared in processes of their own.

    PYTHONPATH=CHECKOUT python -P benchmarks/decisions_tuned.py PROBLEMS.npz RESULTS.json

A problem N has N_scores (documents, labels) and N_truth. Its result is the cross-fitted metric of the default rule and
of the selected one, and the CPU seconds. Uses only what every commit since the first decision rules has.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from heads.evaluation.decisions import tune_decision


def main() -> None:
    """Read the problems, and write the results."""
    warnings.filterwarnings("ignore")
    problems, results = np.load(sys.argv[1]), {}
    for name in sorted({key.rsplit("_", 1)[0] for key in problems.files}):
        start = time.process_time()
        decision = tune_decision(problems[f"{name}_scores"], problems[f"{name}_truth"])
        seconds = time.process_time() - start
        compared = decision.evidence.comparisons
        selected = [one for one in compared if one.selected][-1]
        results[name] = {
            "untuned": compared[0].cross_fitted,
            "cross_fitted": selected.cross_fitted,
            "family": selected.family,
            "seconds": seconds,
        }
    Path(sys.argv[2]).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
