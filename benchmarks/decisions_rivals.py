"""Predictions of optimal-classification-cutoffs and xCOLUMNs, in the environment of `benchmarks/rivals.txt`.

    RIVALS/bin/python benchmarks/decisions_rivals.py PROBLEMS.npz PREDICTIONS.npz

A problem N has N_fit (documents, labels) and N_new, probabilities, and N_truth (documents,). The predictions of each
method for N_new are in N_METHOD, int64 (documents,). Nothing of embedonce is imported.
"""

import contextlib
import io
import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def cutoffs(method: str) -> Callable[..., Any]:
    """Per-label cutoffs of probabilities, fitted by a method of optimal-classification-cutoffs."""

    def predict(fit: Any, truth: Any, new: Any) -> Any:
        from optimal_cutoffs import optimize_thresholds
        from optimal_cutoffs.core import Average, Task

        result = optimize_thresholds(
            truth, fit, metric="f1", task=Task.MULTICLASS, average=Average.MACRO, method=method
        )
        return result.predict(new)

    return predict


def frank_wolfe(fit: Any, truth: Any, new: Any) -> Any:
    """The randomized classifier that xCOLUMNs finds by the Frank-Wolfe method."""
    from xcolumns.frank_wolfe import find_classifier_using_fw
    from xcolumns.metrics import macro_f1_score_on_conf_matrix

    one_hot = np.eye(fit.shape[1])[truth]
    metric = macro_f1_score_on_conf_matrix  # the wrapper for it passes four counts to a metric of two arrays
    classifier = find_classifier_using_fw(one_hot, fit, metric, k=1, init_classifier="top", skip_tn=True, seed=0)
    return classifier.predict(new, seed=0).argmax(axis=1)


def block_coordinate(fit: Any, truth: Any, new: Any) -> Any:
    """The predictions of xCOLUMNs that have the best expected metric on all new documents together."""
    from xcolumns.block_coordinate import predict_optimizing_macro_f1_score_using_bc

    del fit, truth
    return predict_optimizing_macro_f1_score_using_bc(new, k=1, init_y_pred="top", seed=0).argmax(axis=1)


METHODS = {
    "cutoffs-coordinate": cutoffs("coord_ascent"),
    "xcolumns-frank-wolfe": frank_wolfe,
    "xcolumns-block": block_coordinate,
}


def main() -> None:
    """Read the problems, and write the predictions."""
    problems = np.load(sys.argv[1])
    predictions: dict[str, Any] = {}
    names = sorted({key.rsplit("_", 1)[0] for key in problems.files})
    for number, name in enumerate(names):
        arrays = [problems[f"{name}_{part}"] for part in ("fit", "truth", "new")]
        for method, predict in METHODS.items():
            with contextlib.redirect_stdout(io.StringIO()):
                predictions[f"{name}_{method}"] = np.asarray(predict(*arrays), dtype=np.int64)
        print(f"{number + 1} of {len(names)} problems", file=sys.stderr, flush=True)
    np.savez(sys.argv[2], **predictions)


if __name__ == "__main__":
    main()
