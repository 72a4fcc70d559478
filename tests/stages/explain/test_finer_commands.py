"""The commands that encode the corpus of a run again with finer vectors."""

from dataclasses import replace
from pathlib import Path

from data.documents import SampleOf
from heads.classifiers.prototype import PrototypeHead
from stages.explain.finer_commands import finer_commands
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from tests.small_store import blobs, make_store


def test_a_sample_is_drawn_as_large_as_it_was_also_if_the_run_did_not_read_its_test_split(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b"], documents=40))
    sample = replace(table, name="made-sample50", sample_of=SampleOf("made", 100))
    run, _ = fit_head(store, sample, FitPlan(head=PrototypeHead(), folds=2, test=False), tmp_path / "runs")
    embed, _ = finer_commands(run, tmp_path / "store", "segments")
    assert " --sample=50 " in embed
