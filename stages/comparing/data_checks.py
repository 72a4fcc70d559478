"""Checks of documents and probabilities: rare labels, duplicates, groups, calibration, and the baseline."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from data.text_format import join_names, plural
from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.document_measures import is_right, measure_documents
from heads.evaluation.jackknife import difference_error
from heads.evaluation.metrics import Metric
from heads.evaluation.paired import paired_differences
from heads.evaluation.probability_metrics import Reliability
from heads.evaluation.sampled_metric import SampledMetric
from stages.comparing.choice import MARGIN, is_as_cheap
from stages.comparing.repeat_command import can_be_searched, has_defaults, reads_features, repeat_command
from stages.fitting import runs
from stages.fitting.predictions import Predictions

__all__ = [
    "Advice",
    "check_baseline",
    "check_calibration",
    "check_duplicates",
    "check_groups",
    "check_rare_labels",
    "find_baseline",
    "missing_baseline",
]

# with n documents, the exact 95 % interval of a recall includes 1/2 whatever their predictions, if 2 * 0.5^n > 0.05
FEW = 5
SHUFFLES = 200
WIDER = 1.1  # a standard error that is larger by less than a tenth changes no conclusion
BASELINE, BASELINE_KIND = "tfidf", "svm"


@dataclass(frozen=True)
class Advice:
    """What a check found, and what to do next: sentences.

    finding: how the first sentence begins; it is the same for runs with the same fault.
    details: its rest, with numbers.
    """

    finding: str
    details: str
    next_step: str

    @property
    def sentence(self) -> str:
        """What was found."""
        return f"{self.finding}{self.details}"


def check_rare_labels(run: runs.Run, metric: Metric) -> Advice | None:
    """Whether there are labels with too few documents to tell whether they are recognized.

    Args:
        run: any run on the documents.
        metric: what ranks the runs.

    Returns:
        What was found, or None.
    """
    card = run.ranking_scorecard
    rare = [label.label for label in card.labels if 0 < label.support <= FEW]
    if not rare:
        return None
    known = sum(bool(label.support) for label in card.labels)
    share = f", but are {len(rare) / known:.0%} of {metric.name}" if metric.name.startswith("macro") else ""
    step = "Add documents of these labels"
    if share:
        weighted = shlex.join(["embedonce", "compare", "--metric", "weighted-f1", *run.folder_option])
        step = f"{step}, or rank by a metric that counts documents: `{weighted}`"
    return Advice(
        f"{len(rare):,} of {known:,} labels have at most {FEW} documents that were scored",
        f" ({join_names(sorted(rare))}): these are too few to tell a recall from one half{share}.",
        f"{step}.",
    )


def check_duplicates(run: runs.Run) -> Advice | None:
    """Whether texts of training are also in the split that is scored, in enough documents to change its accuracy.

    Args:
        run: any run on the documents.

    Returns:
        What was found; None if all of them together are a smaller share than half the confidence interval's width.
    """
    for split, card in run.scorecards.items():
        duplicates = run.record.duplicates.get(split, 0)
        half = (card.accuracy.high - card.accuracy.low) / 2
        if duplicates and duplicates / card.documents > half:
            verb = "has" if duplicates == 1 else "have"
            return Advice(
                f"{plural(duplicates, 'document')} of the {split} split {verb} the text of a training document",
                f", {duplicates / card.documents:.1%} of {card.documents:,}. The confidence interval of the accuracy "
                f"is ± {half:.1%}, so its metrics may be too high by more than chance.",
                _duplicates_step(run.record, split),
            )
    return None


def _duplicates_step(record: runs.Record, split: str) -> str:
    if record.spec.get("split") and not record.spec.get("group"):  # a split that is drawn keeps groups, or equal texts
        return "Draw a split that keeps equal texts together, and fit again: embed with --split ''."
    return f"Remove these texts from the training split or from the {split} split, embed again, and fit again."


def check_groups(run: runs.Run, predictions: Predictions) -> Advice | None:
    """Whether documents of one group are right or wrong together, so that confidence intervals are too narrow.

    The standard error of the accuracy is computed from the sums of groups (Liang & Zeger 1986, Longitudinal data
    analysis using generalized linear models), and compared with that of groups of the same sizes drawn at random.

    Args:
        run: any run on the documents.
        predictions: those that rank it.

    Returns:
        What was found; None if the standard error is less than a tenth larger than that of independent documents, or
        no larger than the 97.5 % quantile of random groups.
    """
    groups = run.groups()
    if len(groups) != len(predictions.ids):
        return None
    right = is_right(predictions.truth, predictions.predicted)
    if predictions.predicted.ndim == 1:  # a document that is left undecided is not wrong
        decided = predictions.predicted >= 0
        groups, right = groups[decided], right[decided]
    _, group_of = np.unique(groups, return_inverse=True)
    count, ratio = int(group_of.max(initial=-1)) + 1, _error_ratio(right, group_of)
    if count == len(right) or ratio < WIDER:
        return None
    random = np.random.default_rng(run.record.seed)
    by_chance = [_error_ratio(random.permutation(right), group_of) for _ in range(SHUFFLES)]
    if ratio <= np.quantile(by_chance, 0.975):
        return None
    return Advice(
        "Documents of one group are right or wrong together",
        f": the standard error of the accuracy of these {len(right):,} documents in {plural(count, 'group')} is "
        f"{ratio:.1f} times that of independent documents, so confidence intervals are too narrow and p-values too "
        "small.",
        f"Read intervals as {ratio:.1f} times as wide, and add documents of new groups.",
    )


def _error_ratio(right: NDArray[np.bool_], group_of: NDArray[np.int64]) -> float:
    """The standard error of the share of right documents by groups, over that of independent documents."""
    residual = right - right.mean() if len(right) else np.zeros(0)
    sums = np.bincount(group_of, weights=residual)
    return sqrt((sums @ sums) / (residual @ residual)) if residual.any() else 0.0


def check_calibration(run: runs.Run, predictions: Predictions, margin: float = MARGIN) -> Advice | None:
    """Whether probabilities are further from the truth than calibrated ones would be by chance, by more than a margin.

    Args:
        run: the run.
        predictions: those that its first metrics are of.
        margin: the largest error that does not matter.

    Returns:
        What was found; None if the ECE's interval includes values within the margin of what chance gives.
    """
    error = run.ranking_scorecard.ece
    if error is None:
        return None
    expected = _chance_error(Reliability.of(predictions.truth, predictions.probabilities))
    if error.low <= expected + margin:
        return None
    report = shlex.join(["embedonce", "report", run.name, *run.folder_option, "--html", "report.html"])
    return Advice(
        "Its probabilities are badly calibrated",
        f": on average they are off by {error.value:.3f} (ECE, {error.low:.3f} to {error.high:.3f}), and calibrated "
        f"ones by at most {expected:.3f}.",
        f"Look at the reliability diagram before you use them: `{report}`.",
    )


def _chance_error(bins: Reliability) -> float:
    """The 97.5 % quantile of the ECE of calibrated probabilities with these confidences, by a normal distribution.

    The share of a bin of n that is correct has the variance c (1 - c) / n, so its distance to c is half-normal (Bröcker
    & Smith 2007, Increasing the reliability of reliability diagrams, on the simulation of the same).
    """
    share = bins.size / max(int(bins.size.sum()), 1)
    deviation = (bins.confidence * (1 - bins.confidence) / bins.size.clip(min=1)) ** 0.5
    mean, variance = share @ deviation * sqrt(2 / pi), (share**2) @ (deviation**2) * (1 - 2 / pi)
    return float(mean + 1.96 * sqrt(variance))


def find_baseline(selected: Sequence[runs.Run], metric: Metric) -> runs.Run | None:
    """The best linear SVM on tf-idf on the documents of the first of these runs: among them, or in its folder.

    Args:
        selected: the runs.
        metric: what ranks them.

    Returns:
        The run, not a decision on its scores; None if there is none that can be read.
    """
    first = selected[0]
    folder = [run for run in runs.runs_in(first.folder.parent) if run.name not in {each.name for each in selected}]
    found = [run for run in selected if _is_baseline(run.record, first.record)]
    others = [run for run in folder if _is_baseline(run.record, first.record)]
    found += runs.readable(others, "scorecard", "decision", "predictions", "scores")
    known = [run for run in found if metric.value(run.ranking_scorecard) is not None]
    return max(known, key=lambda run: float(metric.signed_value(run.ranking_scorecard)), default=None)


def _is_baseline(record: runs.Record, first: runs.Record) -> bool:
    fields = ("documents_hash", "labels", "kind", "taxonomy", "validate_on")
    return (
        record.head == BASELINE
        and record.hyperparameters.get("kind") == BASELINE_KIND
        and not record.parent
        and all(getattr(record, field) == getattr(first, field) for field in fields)
    )


def missing_baseline(run: runs.Run) -> Advice:
    """That no run is the baseline, and how to fit it on the documents of `run`."""
    return Advice(
        "There is no baseline",
        ": a linear SVM on tf-idf needs no encoder, and a run should be better than it.",
        _baseline_step(run),
    )


def _baseline_step(run: runs.Run) -> str:
    trained = run.record.hyperparameters.get("finetune", {}).get("validate_on")  # on labels of its own store
    if trained == "share":
        return "No head is scored on the documents that were drawn to validate it. Fine-tune with --folds instead."
    if trained == "folds":
        return (
            "Fit it on the store of an encoder that did not learn from these labels: `embedonce fit-head "
            f"{BASELINE} --store STORE`."
        )
    return f"Fit it: `{repeat_command(run, 'fit-head', head=BASELINE)}`."


def check_baseline(
    run: runs.Run,
    baseline: runs.Run,
    predictions: tuple[Predictions, Predictions],
    metric: Metric,
    difference: ConfidenceInterval | None = None,
) -> Advice | None:
    """Whether a run is worse than the baseline, or not better and slower.

    Args:
        run: the run.
        baseline: the run of `find_baseline`.
        predictions: those that rank the run, and those that rank the baseline.
        metric: of the predictions, by which they are compared.
        difference: how much better the run is than the baseline by this metric; None computes it.

    Returns:
        What was found; None for the baseline itself, and if both were not scored on the same documents.
    """
    if run.name == baseline.name or list(predictions[0].ids) != list(predictions[1].ids):
        return None
    difference, take = difference or _difference(run, predictions, metric), f"Take {baseline.name}"
    value, low, high = map(_better_or_worse, (difference.value, difference.low, difference.high))
    values = f"{metric.name} {value}; confidence interval {low} to {high}"
    if difference.low == difference.high == 0:
        values = f"the same {metric.name}"
    if difference.high < 0:
        search = f", or search the head: `{repeat_command(run, 'sweep')}`" if can_be_searched(run) else ""
        return Advice(
            f"It is worse than the baseline {baseline.name}, a linear SVM on tf-idf",
            f" ({values}).",
            f"{take}{search}.",
        )
    times = run.record.predict_milliseconds, baseline.record.predict_milliseconds
    if difference.low > 0 or is_as_cheap(*times, "predict"):
        return None
    more = ""
    if reads_features(run):
        alone = run.record.head == BASELINE or not has_defaults(run)  # --set is for one head
        command = repeat_command(run, "curve", head="" if alone else f"{run.record.head} {BASELINE}")
        more = f", or see whether more documents would help: `{command}`"
    return Advice(
        f"It is not better than the baseline {baseline.name}, a linear SVM on tf-idf, and slower",
        f" ({values}): {times[0]:.3f} against {times[1]:.3f} ms per document, without the encoder.",
        f"{take}{more}.",
    )


def _better_or_worse(difference: float) -> str:
    return f"{abs(difference):.3f} {'worse' if difference < 0 else 'better'}"


def _difference(run: runs.Run, predictions: Sequence[Predictions], metric: Metric) -> ConfidenceInterval:
    """How much better the first predictions are than the second, with a 95 % interval, of labels by the jackknife."""
    one, other = predictions
    labels, hierarchy = len(run.record.labels), run.record.hierarchy
    if metric.needs == "probabilities":
        both = [[other.probabilities], [one.probabilities]]
        return paired_differences(SampledMetric.of(one.truth, both, labels, metric, hierarchy))[0]
    first, second = (
        metric.signed_value(ConfusionCounts.from_predictions(one.truth, each.predicted, labels, hierarchy))
        for each in predictions
    )
    error = difference_error(
        one.truth,
        [one.predicted],
        [other.predicted],
        metric.signed_value,
        labels,
        measure=lambda truth, predicted: measure_documents(truth, predicted, hierarchy),
    )
    value = float(first - second)
    return ConfidenceInterval(value, value - 1.96 * error, value + 1.96 * error)
