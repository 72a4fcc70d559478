"""A linear classifier of the words: tf-idf of n-grams of token ids, which every store keeps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from featurestore import Bags, Computation
from heads.core.class_weights import ClassWeight
from heads.core.head import Examples, Head
from heads.core.hyperparameters import Help, Range, Search
from heads.core.saving import read_arrays, write_arrays
from heads.linear_models.logistic import fit_logistic_regression
from heads.linear_models.ngram_attribution import attribute_to_tokens
from heads.linear_models.ngram_counts import NgramCounting, fit_tfidf, transform_tfidf
from heads.linear_models.ngrams import TfIdf
from heads.linear_models.svm import SparseLinearModel, fit_calibrated_svm

__all__ = ["TfIdfHead"]

WEIGHTS = "tfidf.safetensors"


@dataclass(eq=False, repr=False, kw_only=True)
class TfIdfHead(Head):
    """Linear models on tf-idf of n-grams of token ids, without the encoder's vectors; one per label if multi-label.

    This is the baseline for a frozen encoder (Joachims 1998; Wang & Manning 2012, who find that bigrams always help).
    The words are the tokens of the encoder's tokenizer. N-grams do not span tokens that are not adjacent in the text,
    and tokens that consecutive chunks share count once.
    """

    name: ClassVar[str] = "tfidf"
    views: ClassVar[tuple[str, ...]] = ("token_ids",)

    ngrams: Annotated[
        int, Range(1), Help("length of the longest n-grams; shorter ones are used too"), Search(choices=(1, 2, 3))
    ] = 2
    min_df: Annotated[float, Range(above=0), Help("minimum document frequency of an n-gram, by sample weight")] = 2
    kind: Annotated[
        Literal["svm", "logistic"],
        Help("kind of model: svm, calibrated by temperature scaling on out-of-fold margins, or logistic regression"),
        Search(),
    ] = "svm"
    C: Annotated[float, Range(above=0), Help("inverse of the regularization strength"), Search(0.1, 10, log=True)] = 1.0
    max_iter: Annotated[int, Range(1), Help("maximum number of L-BFGS iterations, for logistic regression")] = 300
    class_weight: ClassWeight = "sqrt"

    @property
    def _counting(self) -> NgramCounting:
        return NgramCounting(self.ngrams, self.min_df)

    def computations(self, bags: Bags) -> tuple[Computation, ...]:
        """The counts of n-grams."""
        return (self._counting,) if "token_ids" in bags.views else ()

    def _fit(self, examples: Examples) -> None:
        self.tfidf_, rows, note = fit_tfidf(examples, self._counting)
        if note:
            self._add_note(note)
        labels = len(self.classes_)
        if self.kind == "svm":
            coefficients, intercepts = fit_calibrated_svm(rows, examples, labels, self.C, self.seed)
        else:
            model, n_iter = fit_logistic_regression(rows, examples, labels, self.C, self.max_iter)
            coefficients, intercepts = model.coefficients, model.intercepts
            if n_iter >= self.max_iter:
                self._add_note(f"tfidf did not converge in {n_iter} iterations. Raise max_iter, or lower C.")
        self.linear_ = SparseLinearModel.from_coefficients(coefficients, intercepts)
        self.parameter_count_ = coefficients.size + intercepts.size

    def _decision_function(self, bags: Bags) -> NDArray[np.float64]:
        return self.linear_.scores(transform_tfidf(self.tfidf_, bags, self._counting))

    def coefficients_times_input(self, X: Any, column: int, against: int | None = None) -> list[NDArray[np.float32]]:
        """Attribute the margin of a class to the tokens of each document, by the coefficients of their n-grams.

        Args:
            X: the documents.
            column: the class.
            against: the class to compare with; None compares with all others, so that the margin is the log-odds.

        Returns:
            One float32 array (tokens,) per document.
        """
        scores, margin, bags = self.decision_function(X), (column, against), self._as_bags(X)
        return list(attribute_to_tokens(self.tfidf_, self.linear_, bags, scores, margin, multilabel=self.multilabel_))

    def _save(self, folder: Path) -> None:
        write_arrays(folder / WEIGHTS, self.tfidf_.arrays() | vars(self.linear_))

    def _load(self, folder: Path) -> None:
        shapes = TfIdf.array_shapes(folder / WEIGHTS, self.ngrams)
        features, labels = shapes["idf"][0] + sum(self.dims_.values()), len(self.classes_)
        arrays = read_arrays(folder / WEIGHTS, shapes | {"coefficients": (features, labels), "intercepts": (labels,)})
        self.tfidf_ = TfIdf.from_arrays(arrays, self.ngrams)
        self.linear_ = SparseLinearModel(arrays["coefficients"], arrays["intercepts"])
