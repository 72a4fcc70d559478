"""A decision that is shifted to the label frequencies of new documents."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from data.errors import CallError
from heads.classifiers.linear import LinearHead
from heads.evaluation.decisions.abstention import AbstentionOptions
from heads.evaluation.decisions.label_sets import LabelSetOptions
from stages.deciding.decide import decide
from stages.deciding.new_documents import NewDocuments
from stages.deciding.plan import DecisionPlan
from stages.fitting import runs
from stages.fitting.decision_options import DecisionOptions
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.runs import Run
from tests.small_store import blobs, make_store


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which half of the documents have the label a."""
    folder = tmp_path_factory.mktemp("shift")
    documents, vectors = blobs(["a", "a", "a", "b", "c"], documents=600)
    store, table = make_store(folder / "store", documents, vectors / 3)
    return fit_head(store, table, FitPlan(head=LinearHead(), folds=2), folder / "runs")[0].folder


@pytest.fixture
def parent(template: Path, tmp_path: Path) -> Run:
    return runs.load(Path(shutil.copytree(template, tmp_path / template.name)))


def new(parent: Run, *, frequencies: NDArray[np.float64] | None = None) -> NewDocuments:
    """The parent's test documents, without their labels, drawn with frequencies or those of the split."""
    rows = parent.predictions().of("test")
    weight = None if frequencies is None else (frequencies / np.bincount(rows.truth, minlength=3))[rows.truth]
    drawn = np.random.default_rng(0).choice(len(rows.truth), 400, p=None if weight is None else weight / weight.sum())
    return NewDocuments("new.csv", np.asarray(rows.scores[drawn]))


def test_other_frequencies_shift_new_documents_but_not_the_metrics_of_the_run(parent: Run) -> None:
    documents = new(parent, frequencies=np.array([0.1, 0.45, 0.45]))
    run = decide(parent, DecisionPlan(unlabelled=documents), final=True).run
    shift, plain = run.decision.label_shift, parent.predictions()
    assert shift is not None and shift.is_used
    assert shift.frequencies == pytest.approx([0.1, 0.45, 0.45], abs=0.1)
    for split in ("train", "test"):
        rows = run.predictions().of(split)
        np.testing.assert_array_equal(rows.predicted, plain.of(split).predicted)
        np.testing.assert_array_equal(rows.probabilities, plain.of(split).probabilities)
    assert (run.decision.decide(documents.scores) != parent.decision.decide(documents.scores)).any()
    assert "The label shift to the frequencies of new.csv is for new documents" in run.record.run_notes[-1]


def test_the_frequencies_of_training_leave_the_decision_as_it_is(parent: Run) -> None:
    documents = new(parent)
    run = decide(parent, DecisionPlan(unlabelled=documents)).run
    assert run.decision.label_shift is not None and not run.decision.label_shift.is_used
    np.testing.assert_array_equal(run.decision.decide(documents.scores), parent.decision.decide(documents.scores))


def test_the_name_of_the_run_follows_from_the_new_documents(parent: Run) -> None:
    first, other = new(parent), new(parent, frequencies=np.array([0.2, 0.4, 0.4]))
    names = [decide(parent, DecisionPlan(unlabelled=documents)).run.name for documents in (first, first, other)]
    assert names[0] == names[1] != names[2]


def test_sets_per_label_go_with_a_shift(parent: Run) -> None:
    documents = new(parent, frequencies=np.array([0.1, 0.45, 0.45]))
    plan = DecisionPlan(unlabelled=documents, label_sets=LabelSetOptions(level=0.8, per_label=True))
    run = decide(parent, plan).run
    sets = run.decision.sets(documents.scores, [str(row) for row in range(400)])
    assert sets is not None and sets[np.arange(400), run.decision.decide(documents.scores)].all()


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (DecisionPlan(label_sets=LabelSetOptions(level=0.9)), "with label sets only per label"),
        (DecisionPlan(abstention=AbstentionOptions(coverage=0.9)), "does not go with undecided documents"),
        (
            DecisionPlan(rule=DecisionOptions(objective="recall-at-precision", at=0.9)),
            "does not go with --objective recall-at-precision",
        ),
    ],
)
def test_what_a_shift_does_not_go_with_is_refused(parent: Run, plan: DecisionPlan, message: str) -> None:
    with pytest.raises(CallError, match=message):
        plan.check_with_shift(parent)
