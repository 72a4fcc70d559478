"""A linear classifier of the words themselves: tf-idf of n-grams of token ids, which every store keeps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from featurestore import Bags
from heads.core.class_weights import ClassWeight
from heads.core.head import Examples, Head
from heads.core.hyperparameters import Help, Range, Search
from heads.core.saving import read_arrays, write_arrays
from heads.linear_models.logistic import fit_logistic_regression
from heads.linear_models.ngram_attribution import attribute_to_tokens
from heads.linear_models.ngrams import TfIdf, fit_tfidf
from heads.linear_models.svm import SparseLinearModel, fit_calibrated_svm

__all__ = ["TfIdfHead"]

WEIGHTS = "tfidf.safetensors"


@dataclass(eq=False, repr=False, kw_only=True)
class TfIdfHead(Head):
    """Linear machines on tf-idf of n-grams of token ids, no vector of the encoder; for several labels one a label.

    The baseline that a frozen encoder has to beat (Joachims 1998; Wang & Manning 2012, who find bigrams to help
    throughout). Its words are the tokenizer's. N-grams do not reach over what the text did not have side by side, and
    tokens that neighbouring chunks share count once.
    """

    name: ClassVar[str] = "tfidf"
    views: ClassVar[tuple[str, ...]] = ("token_ids",)

    ngrams: Annotated[
        int,
        Range(1),
        Help("tokens of the longest n-grams; all shorter ones are counted too"),
        Search(choices=(1, 2, 3)),
    ] = 2
    min_df: Annotated[float, Range(above=0), Help("documents that an n-gram is in at least, by sample weight")] = 2
    kind: Annotated[
        Literal["svm", "logistic"],
        Help("svm, whose margins are scaled to logits on held-out documents, or logistic, one problem over all labels"),
        Search(),
    ] = "svm"
    C: Annotated[
        float,
        Range(above=0),
        Help("strength of what the documents say against a prior of small coefficients"),
        Search(0.1, 10, log=True),
    ] = 1.0
    max_iter: Annotated[int, Range(1), Help("steps of L-BFGS at most, for logistic")] = 300
    class_weight: ClassWeight = "sqrt"

    def _fit(self, examples: Examples) -> None:
        self.words_, rows, said = fit_tfidf(examples, self.ngrams, self.min_df)
        if said:
            self._add_note(said)
        if self.kind == "svm":
            coefficients, intercepts = fit_calibrated_svm(rows, examples, len(self.classes_), self.C, self.seed)
        else:
            coefficients, intercepts, steps = fit_logistic_regression(
                rows, examples, len(self.classes_), self.C, self.max_iter
            )
            if steps >= self.max_iter:
                self._add_note(f"tfidf stopped after {steps} steps, before it converged. Raise max_iter, or lower C.")
        self.linear_ = SparseLinearModel.from_coefficients(coefficients, intercepts)
        self.parameter_count_ = coefficients.size + intercepts.size

    def _decision_function(self, bags: Bags) -> NDArray[np.float64]:
        return self.linear_.scores(self.words_.transform(bags.contiguous_tokens(), len(bags)))

    def coefficients_times_input(self, X: Any, column: int, against: int | None = None) -> list[NDArray[np.float32]]:
        """What each token adds to a class's margin by its n-grams: float32 (tokens,) a document, a list of them.

        The margin of class `column` is its log-odds, or what its score is above that of `against`.
        """
        scores, asked = self.decision_function(X), (column, against)
        return list(
            attribute_to_tokens(self.words_, self.linear_, self._as_bags(X), scores, asked, multilabel=self.multilabel_)
        )

    def _save(self, folder: Path) -> None:
        write_arrays(folder / WEIGHTS, self.words_.arrays() | vars(self.linear_))

    def _load(self, folder: Path) -> None:
        shapes = TfIdf.array_shapes(folder / WEIGHTS, self.ngrams)
        features, labels = shapes["idf"][0] + sum(self.dims_.values()), len(self.classes_)
        arrays = read_arrays(folder / WEIGHTS, shapes | {"coefficients": (features, labels), "intercepts": (labels,)})
        self.words_ = TfIdf.from_arrays(arrays, self.ngrams)
        self.linear_ = SparseLinearModel(arrays["coefficients"], arrays["intercepts"])
