"""A linear classifier of pooled features: the head that every other has to beat."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from featurestore import Bags
from heads.core.class_weights import ClassWeight
from heads.core.head import Examples
from heads.core.hyperparameters import Help, Range, Search
from heads.core.pooled_head import PooledHead
from heads.core.saving import read_arrays, write_arrays
from heads.linear_models.logistic import LinearModel, Standardizer, fit_logistic_regression
from heads.linear_models.margin_scaling import fit_inverse_temperature
from heads.linear_models.ridge import fit_ridge

__all__ = ["LinearHead"]

WEIGHTS = "linear.safetensors"


@dataclass(eq=False, repr=False, kw_only=True)
class LinearHead(PooledHead):
    """Logistic or ridge regression on standardised pooled features; for several labels a binary one a label.

    A linear probe, the usual measure of frozen features (Alain & Bengio 2017, arXiv 1610.01644). "ridge" is least
    squares towards 1 for a document's label and -1 for the others, in one step; its margins become logits by one
    factor, the likeliest for each document's margins without itself (ridge.py, margin_scaling.py).
    """

    name: ClassVar[str] = "linear"

    C: Annotated[
        float,
        Range(above=0),
        Help("strength of what the documents say against a prior of small coefficients"),
        Search(1e-4, 1, log=True),
    ] = 0.05
    max_iter: Annotated[int, Range(1), Help("steps of L-BFGS at most; ridge takes one")] = 300
    class_weight: ClassWeight = "balanced"
    kind: Annotated[
        Literal["logistic", "ridge"],
        Help("of regression; logistic is one problem over all labels, ridge one each"),
        Search(),
    ] = "logistic"

    def _fit(self, examples: Examples) -> None:
        features = self._features(examples.bags)
        scaling = Standardizer.fit(features, examples.sample_weight)
        fit = self._ridge if self.kind == "ridge" else self._logistic
        coefficients, intercepts, self.n_iter_ = fit(scaling.transform(features), examples)
        if self.kind == "logistic" and self.n_iter_ >= self.max_iter:
            self._add_note(
                f"linear stopped after {self.max_iter} steps, before it converged. Raise max_iter, or lower C."
            )
        self.linear_ = LinearModel.from_standardized(coefficients, intercepts, scaling)
        self.parameter_count_ = coefficients.size + intercepts.size

    def _logistic(self, standard: NDArray[np.float64], examples: Examples) -> tuple[NDArray[Any], NDArray[Any], int]:
        return fit_logistic_regression(standard, examples, len(self.classes_), self.C, self.max_iter)

    def _ridge(self, standard: NDArray[np.float64], examples: Examples) -> tuple[NDArray[Any], NDArray[Any], int]:
        multilabel, labels = examples.multilabel, len(self.classes_)
        truth = examples.indicator_matrix(labels)
        own = np.minimum(1 / examples.sample_weight, 1.0)
        coefficients, intercepts = np.zeros((labels, standard.shape[1])), np.zeros(labels)
        margins = np.zeros(truth.shape)
        # documents weigh alike for all labels, or differently for each
        for columns in [[column] for column in range(labels)] if multilabel else [list(range(labels))]:
            weight = examples.loss_weight[:, columns[0]] if multilabel else examples.loss_weight
            found = fit_ridge(standard, 2.0 * truth[:, columns] - 1, weight, own * weight, self.C)
            coefficients[columns], intercepts[columns], margins[:, columns] = found
        factor = fit_inverse_temperature(margins, np.zeros(labels), examples)
        return factor * coefficients, factor * intercepts, 1

    def _decision_function(self, bags: Bags) -> NDArray[np.float64]:
        return self.linear_.scores(self._features(bags))

    def _save(self, folder: Path) -> None:
        write_arrays(folder / WEIGHTS, vars(self.linear_))

    def _load(self, folder: Path) -> None:
        labels, dims = len(self.classes_), sum(self.dims_.values())
        shapes = {"coefficients": (labels, dims), "intercepts": (labels,)}
        self.linear_ = LinearModel(**read_arrays(folder / WEIGHTS, shapes))
