"""Fitted runs, as a Python user holds them."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.documents import Corpus, Document
from data.errors import CallError, EmbedOnceError
from data.readers.in_memory import read_in_memory
from data.source_spec import SourceSpec
from data.text_format import plural
from stages.fitting.runs import Run as StoredRun
from stages.interactive.parameters import names_parameters, spell_parameters
from stages.interactive.progress_bar import progress_bar

if TYPE_CHECKING:
    from heads.core.head import Head
    from heads.evaluation.calibration import CalibrationMethod
    from heads.evaluation.decisions.label_sets import SetScore
    from heads.evaluation.metrics import Scorecard
    from stages.interactive.corpus import EmbeddedCorpus
    from stages.predict import Prediction

__all__ = ["Run"]


class Run:
    """A fitted head with its decision rule and metrics, in a folder of its own. Made by `fit_head` and `load_run`."""

    def __init__(self, stored: StoredRun) -> None:
        self.stored = stored

    def __repr__(self) -> str:
        splits = {"test": "on the test split", "validation": "on the validation split", "train": "out of fold"}
        scorecard = self.stored.scorecards.get("test", self.stored.ranking_scorecard)
        return f"<Run {self.name}: macro-F1 {scorecard.macro_f1.value:.3f} {splits[self.stored.scored_split]}>"

    @property
    def name(self) -> str:
        """The run's name, as the command line takes it."""
        return self.stored.name

    @property
    def folder(self) -> Path:
        """Where the run is kept."""
        return self.stored.folder

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, in the order of the columns of `predict_proba`."""
        return tuple(self.stored.record.labels)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on the corpus and the fit that a reader of the metrics should know."""
        return tuple(map(spell_parameters, self.stored.record.notes))

    @property
    def out_of_fold(self) -> "Scorecard":
        """Metrics on training documents, each predicted by a head that was fitted without its fold.

        Raises CallError for a run that is validated on the validation split.
        """
        return self._scorecard("out_of_fold", "validated on the validation split, so its metrics are in validation")

    @property
    def validation(self) -> "Scorecard":
        """Metrics on the validation split. Raises CallError for a run that is validated on folds."""
        return self._scorecard("validation", "validated on folds, so its metrics are in out_of_fold")

    @property
    def test(self) -> "Scorecard":
        """Metrics on the test split, which was scored once.

        Raises CallError for a run with test=False, and for a decided run that is not final.
        """
        if self.stored.record.parent:
            return self._scorecard("test", "not scored on the test split; decide(final=True) does so, once")
        return self._scorecard("test", "fitted with test=False, so it has no test metrics")

    def _scorecard(self, name: str, otherwise: str) -> "Scorecard":
        if name not in self.stored.scorecards:
            raise CallError(f"{self.name} was {otherwise}.")
        return self.stored.scorecards[name]

    @names_parameters
    def decide(
        self,
        *,
        objective: str | None = None,
        labels_only: bool = False,
        beta: float | None = None,
        costs: str | Path | None = None,
        at: float | None = None,
        for_label: str | None = None,
        per_label: bool = False,
        tune: bool = True,
        calibration: "CalibrationMethod | None" = None,
        min_confidence: float | None = None,
        coverage: float | None = None,
        other: bool = False,
        false_alarms: float | None = None,
        label_sets: float | None = None,
        set_score: "SetScore | None" = None,
        sets_per_label: bool = False,
        empty_sets: bool = False,
        corpus: "EmbeddedCorpus | None" = None,
        unlabelled: Any = None,
        final: bool = False,
    ) -> "Run":
        """Choose another decision on the scores of this run, and keep it as a run that refers to this one.

        Nothing is fitted but the decision. Without further options, a decided run decides nothing new, so that
        `decided.decide(final=True)` scores that very decision.

        Args:
            objective: what it is chosen for, as in `embedonce decide --objective`; None for the default of the labels.
            labels_only: whether nodes of a taxonomy that are no label are never predicted.
            beta: for macro-fbeta and micro-fbeta, by how much recall counts more than precision.
            costs: for cost, a CSV file with a line per true label and a column per predicted one.
            at: for recall-at-precision and precision-at-recall, the lowest precision or recall.
            for_label: for these two, the label that they are for; None for all labels.
            per_label: for these two, whether each label must reach it, not all labels together.
            tune: whether a decision rule is chosen on out-of-fold scores.
            calibration: auto, none, temperature, vector or isotonic; None for that of this run.
            min_confidence: documents whose prediction has a lower probability are left undecided.
            coverage: the share of documents that is decided, those with the highest probability; None for all.
            other: whether documents unlike those of training are left undecided.
            false_alarms: the share of documents like those of training that may be left undecided by `other`;
                None for 0.05.
            label_sets: the share of documents whose label set is to contain the true label; None for no sets.
            set_score: probability, aps or raps, what is summed up in a set; None for probability.
            sets_per_label: whether that share is to hold for the documents of each label.
            empty_sets: whether sets may be empty; else each has the predicted label.
            corpus: the corpus that the run was fitted on, which `other` reads.
            unlabelled: new texts, as for `predict`, to whose label frequencies the rule is shifted if that helps.
            final: whether it is scored on the test split too, once.

        Returns:
            The decided run; the one that the same call made before, if there is one.

        Raises:
            CallError: an option does not fit the labels, or the run has no test scores for `final`.
            EmbedOnceError: the run or its parent is damaged or gone, or the corpus is another one.
        """
        from stages.deciding.decide import check_request, decide
        from stages.deciding.features import RunFeatures
        from stages.deciding.plan import DecisionPlan, abstention_options, label_set_options
        from stages.fitting.decision_options import CostMatrix, DecisionOptions
        from stages.predict import score_new_documents

        rule = DecisionOptions(
            objective=objective,
            labels_only=labels_only,
            beta=beta,
            costs=None if costs is None else CostMatrix.read(Path(costs)),
            at=at,
            label=for_label,
            per_label=per_label,
        )
        plan = DecisionPlan(
            rule=rule,
            tune=tune,
            calibration=calibration,
            abstention=abstention_options(min_confidence, coverage, other=other, false_alarms=false_alarms),
            label_sets=label_set_options(label_sets, set_score, per_label=sets_per_label, allow_empty=empty_sets),
        )
        if unlabelled is not None:
            check_request(self.stored, plan, final=final, has_shift=True)
            texts = self._read(unlabelled)
            scored = score_new_documents(self.stored, "unlabelled", texts, self._encoders)
            plan = replace(plan, unlabelled=scored)

        def open_features(run: StoredRun) -> RunFeatures:
            if corpus is None:
                raise CallError(f"{run.name} compares documents with those of training. Pass the corpus that it read.")
            return RunFeatures.of(run, corpus.features, corpus.table)

        return Run(decide(self.stored, plan, final=final, open_features=open_features).run)

    @property
    def head(self) -> "Head":
        """The fitted head, a scikit-learn classifier over `TrainingSplit.features`."""
        return self.stored.head()

    def predict(self, texts: Any, *, progress: bool = True) -> NDArray[Any]:
        """Labels of new texts: strings (documents,), or a bool matrix (documents, labels) if multi-label.

        The texts are encoded by the encoder that made the run's features, and decided by the run's rule. With a
        taxonomy, a string may be the name of an inner node that is no label of a document. A document that the run
        leaves undecided has None instead of a label.

        Args:
            texts: a list of texts; or a data frame, whose text and tabular columns are those of the corpus. Of a list,
                and in a frame without them, tabular columns are missing, with a warning.
            progress: whether a bar is shown.

        Raises:
            RecipeMismatch: if that encoder is not the same any more.
            EmbedOnceError: if a text has no finite vectors; the first one's number is given.
        """
        return self._label_arrays(self._predicted(texts, visible=progress))[0]

    def predict_proba(self, texts: Any, *, progress: bool = True) -> NDArray[np.float32]:
        """Probabilities of new texts, float32 (documents, labels), in the order of `labels`. Raises as `predict`."""
        return self._label_arrays(self._predicted(texts, visible=progress))[1]

    def predict_paths(self, texts: Any, *, progress: bool = True) -> list[dict[str, float]]:
        """The predicted nodes of each new text with their probabilities, parents first, if labels have a taxonomy.

        They are the nodes from the top to the predicted one, as in {"rec": 0.9, "rec/hockey": 0.7}; multi-label, those
        of all predicted labels. Raises CallError for labels without a taxonomy, and as `predict` does.
        """
        if self.stored.record.hierarchy is None:
            raise CallError(f"The labels of {self.name} have no taxonomy, so there are no paths. Use predict.")
        return [
            {node.node: node.probability for path in row.paths for node in path}
            for row in self._predicted(texts, visible=progress)
        ]

    def predict_sets(self, texts: Any, *, progress: bool = True) -> NDArray[np.bool_]:
        """The label set of each new text, bool (documents, labels), in the order of `labels`.

        Raises CallError for a run without label sets, and as `predict` does.
        """
        if self.stored.decision.label_sets is None:
            raise CallError(f"{self.name} makes no label sets. Decide again with label sets, or use predict.")
        names = [row.label_set or () for row in self._predicted(texts, visible=progress)]
        rows = [[label in found for label in self.labels] for found in names]
        return np.array(rows, dtype=bool).reshape(len(rows), len(self.labels))

    def _read(self, texts: Any) -> Corpus:
        from stages.predict import known_spec

        if isinstance(texts, str):
            raise CallError("Pass a list of texts, not one text: predict([text]).")
        if hasattr(texts, "columns") or hasattr(texts, "column_names"):
            spec = SourceSpec(label="", id="", split="", group="")
            return read_in_memory(texts, spec, name="new", known=known_spec(self.stored))
        texts = list(texts)
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise CallError(f"Text {row} is no string, but {type(text).__name__}. Pass '' if it has no text.")
        documents = [Document(str(row), text) for row, text in enumerate(texts)]
        return Corpus("new", "memory:new", documents, "single", None, ())

    def _predicted(self, texts: Any, *, visible: bool) -> "list[Prediction]":
        from stages.predict import missing_tabular_notes, predict

        corpus = self._read(texts)
        documents, run = corpus.documents, self.stored
        for sentence in missing_tabular_notes(run, corpus.tabular, "the input"):
            warnings.warn(sentence, stacklevel=3)
        with progress_bar(f"predicting with {self.name}", visible=visible) as show:

            def report(done: int) -> None:
                show(done, len(documents), "documents")

            rows = list(predict(run, documents, self._encoders, report, corpus.tabular))
        failed = [number for number, row in enumerate(rows, start=1) if row.labels is None]
        if failed:
            raise EmbedOnceError(
                f"The encoder gives no finite vectors for {len(failed):,} of {plural(len(rows), 'text')}; the first is "
                f"number {failed[0]:,}. Remove these texts."
            )
        return rows

    def _label_arrays(self, rows: "Sequence[Prediction]") -> tuple[NDArray[Any], NDArray[np.float32]]:
        probabilities = np.array([row.probabilities for row in rows], np.float32).reshape(len(rows), len(self.labels))
        names = [row.labels or () for row in rows]
        if self.stored.record.kind != "multilabel":
            return np.array([next(iter(labels), None) for labels in names], dtype=object), probabilities
        columns = {label: column for column, label in enumerate(self.labels)}
        labels = np.zeros(probabilities.shape, dtype=bool)
        for number, labels_of_row in enumerate(names):
            labels[number, [columns[label] for label in labels_of_row]] = True
        return labels, probabilities

    @cached_property
    def _encoders(self) -> Sequence[Any]:
        from stages.predict import open_encoders

        return open_encoders(self.stored)
