"""The predicted paths of a run compared with the true ones."""

import shlex
from dataclasses import asdict, dataclass
from typing import Any

from data.errors import CallError
from heads.evaluation.coverage import CoverageCurve, coverage_curve
from heads.evaluation.metrics import ConfidenceInterval
from stages.fitting.runs import Run
from stages.taxonomy.mistakes import Mistakes, find_mistakes

__all__ = ["PathReport", "report_paths"]


@dataclass(frozen=True)
class PathReport:
    """Where the predictions of a run leave the true path, and hF1 of its most confident ones."""

    run: str
    split: str
    documents: int
    hf1: ConfidenceInterval
    mistakes: Mistakes
    coverage: CoverageCurve

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        about = {"run": self.run, "split": self.split, "documents": self.documents, "hf1": asdict(self.hf1)}
        return about | self.mistakes.to_json() | {"coverage": self.coverage.to_json()}


def report_paths(run: Run) -> PathReport:
    """Compare the predicted with the true paths of a run, on the split that its page shows.

    Raises CallError for labels without a taxonomy.
    """
    hierarchy = run.record.hierarchy
    card = run.scorecards.get("test", run.ranking_scorecard)
    if hierarchy is None or card.hf1 is None:
        command = shlex.join(["embedonce", "taxonomy", "--suggest", run.name, *run.folder_option])
        raise CallError(
            f"The labels of {run.name} have no taxonomy. Name a run of labels that do, or let `{command}` propose one."
        )
    scored = run.predictions().of(run.scored_split)
    coverage = coverage_curve(scored.truth, scored.predicted, scored.probabilities, hierarchy)
    mistakes = find_mistakes(hierarchy, scored.truth, scored.predicted)
    return PathReport(run.name, run.scored_split, len(scored.ids), card.hf1, mistakes, coverage)
