"""What a user would pick instead of an encoder: scikit-learn's TF-IDF of words into a linear SVM, on the raw text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.documents import Corpus
from data.splits import Split, assign_folds
from data.target import Target

FOLDS = 3
GRID = {
    "tfidfvectorizer__ngram_range": [(1, 1), (1, 2)],
    "linearsvc__C": [1.0, 4.0],
    "linearsvc__class_weight": [None, "balanced"],
}


@dataclass(frozen=True, eq=False)
class Texts:
    """A corpus as scikit-learn takes it: texts, object (documents,), and codes into `labels`, int64 (documents,)."""

    train: NDArray[np.object_]
    train_y: NDArray[np.int64]
    test: NDArray[np.object_]
    test_y: NDArray[np.int64]
    test_ids: Sequence[str]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, corpus: Corpus) -> Self:
        """Of a corpus with one label a document."""
        target = Target.from_labels([document.labels for document in corpus.documents], "single")
        is_test = np.array([document.split == Split.TEST for document in corpus.documents])
        texts = np.array([document.text for document in corpus.documents], dtype=object)
        ids = [document.id for document in corpus.documents if document.split == Split.TEST]
        return cls(texts[~is_test], target.y[~is_test], texts[is_test], target.y[is_test], ids, target.labels)


def plain() -> Any:
    """The pipeline as scikit-learn's own examples have it, unfitted."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    return make_pipeline(TfidfVectorizer(sublinear_tf=True), LinearSVC(random_state=0))


def tuned(texts: Texts) -> tuple[Any, dict[str, Any]]:
    """The pipeline of GRID with the best macro-F1 in 3 folds of the training documents, fitted on all; and which."""
    from sklearn.model_selection import GridSearchCV, PredefinedSplit

    part = PredefinedSplit(assign_folds(texts.train_y, texts.train.tolist(), FOLDS, 0))
    search = GridSearchCV(plain(), GRID, scoring="f1_macro", cv=part).fit(texts.train, texts.train_y)
    return search.best_estimator_, search.best_params_


def predictions(texts: Texts, kept: Path) -> dict[str, NDArray[np.int64]]:
    """Codes of the test documents by the plain and by the tuned pipeline, read from `kept` where that file is there.

    The tuned one's name says what was chosen.
    """
    if not kept.exists():
        model, chosen = tuned(texts)
        settings = ", ".join(f"{name.partition('__')[2]} {value}" for name, value in sorted(chosen.items()))
        models = {"defaults": plain().fit(texts.train, texts.train_y), settings: model}
        kept.parent.mkdir(parents=True, exist_ok=True)
        beside = kept.with_suffix(".tmp")
        beside.write_text(json.dumps({name: each.predict(texts.test).tolist() for name, each in models.items()}))
        beside.replace(kept)
    return {name: np.array(codes) for name, codes in json.loads(kept.read_text()).items()}
