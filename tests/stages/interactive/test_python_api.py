"""The Python interface, from texts to predictions, with the packaged encoder."""

import csv
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score

import embedonce
from data.errors import CallError, FileMissing, RunDamaged, UnknownName

TICKETS = Path(__file__).resolve().parents[3] / "docs" / "tutorial" / "tickets.csv"
FAST: dict[str, Any] = {"folds": 2, "progress": False, "jobs": 1}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def corpus(folder: Path) -> embedonce.EmbeddedCorpus:
    return embedonce.embed(TICKETS, text="body", label="queue", stores=folder / "stores", progress=False)


@pytest.fixture(scope="module")
def run(corpus: embedonce.EmbeddedCorpus, folder: Path) -> embedonce.Run:
    return embedonce.fit_head("linear", corpus, runs=folder / "runs", C=0.5, **FAST)


def test_a_corpus_has_labels_and_a_training_split(corpus: embedonce.EmbeddedCorpus) -> None:
    assert corpus.labels == ("account", "billing", "shipping", "technical")
    assert len(corpus) == 240
    assert len(corpus.train) == len(corpus.train.labels) == len(corpus.train.groups) == 192
    assert corpus.train.pooled("mean").shape == (192, 384)
    assert corpus.train.pooled("cls", "max").dtype == np.float32


def test_a_view_that_is_not_kept_is_named(corpus: embedonce.EmbeddedCorpus) -> None:
    with pytest.raises(UnknownName, match="tokens"):
        corpus.train.pooled("tokens")


def test_the_notes_of_reading_and_encoding_are_kept(corpus: embedonce.EmbeddedCorpus) -> None:
    assert any("test split" in sentence for sentence in corpus.notes)


def test_an_estimator_of_scikit_learn_is_cross_validated_on_the_training_split(
    corpus: embedonce.EmbeddedCorpus,
) -> None:
    train, folds = corpus.train, GroupKFold(3)
    scores = cross_val_score(LogisticRegression(), train.pooled("mean"), train.labels, groups=train.groups, cv=folds)
    assert scores.mean() > 0.7


def test_the_test_split_is_scored_once(corpus: embedonce.EmbeddedCorpus) -> None:
    fresh = embedonce.load_corpus(corpus.store, corpus.name)
    card = fresh.score_once(LogisticRegression())
    assert card.documents == 48
    assert card.macro_f1.low <= card.macro_f1.value <= card.macro_f1.high
    with pytest.raises(RuntimeError, match="scored"):
        fresh.score_once(LogisticRegression())


def test_what_score_once_reports_is_what_the_estimator_predicts(corpus: embedonce.EmbeddedCorpus) -> None:
    class Constant(LogisticRegression):
        def predict(self, X: Any) -> Any:
            return np.array(["billing"] * len(X), dtype=object)

    card = embedonce.load_corpus(corpus.store).score_once(Constant())
    billing = next(label for label in card.labels if label.label == "billing")
    assert card.accuracy.value == billing.support / 48


def test_a_run_predicts_texts(run: embedonce.Run) -> None:
    texts = ["My invoice is wrong and I was charged twice.", "The app closes as soon as I open it."]
    probabilities = run.predict_proba(texts, progress=False)
    assert run.predict(texts, progress=False).tolist() == ["billing", "technical"]
    assert probabilities.shape == (2, 4)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-4)
    assert run.predict([], progress=False).shape == (0,)


def test_one_text_instead_of_a_list_is_refused(run: embedonce.Run) -> None:
    with pytest.raises(CallError, match="list of texts"):
        run.predict("one text")


def test_no_run_and_a_text_that_is_none_are_refused_in_a_sentence(run: embedonce.Run) -> None:
    with pytest.raises(CallError, match="no run to compare"):
        embedonce.compare([])
    with pytest.raises(CallError, match="Text 1 is no string, but NoneType"):
        run.predict(["a", None])


def test_a_run_is_loaded_from_its_folder(run: embedonce.Run) -> None:
    loaded = embedonce.load_run(run.folder)
    assert (loaded.name, loaded.labels) == (run.name, run.labels)
    assert loaded.test.macro_f1 == run.test.macro_f1
    with pytest.raises(FileMissing):
        embedonce.load_run(run.folder.parent / "nothing")


def test_the_same_call_finds_the_run_that_it_made(run: embedonce.Run, corpus: embedonce.EmbeddedCorpus) -> None:
    again = embedonce.fit_head("linear", corpus, runs=run.folder.parent, C=0.5, **FAST)
    assert again.folder == run.folder


def test_hyperparameters_are_python_values_and_are_checked(
    corpus: embedonce.EmbeddedCorpus, folder: Path, run: embedonce.Run
) -> None:
    assert run.head.C == 0.5
    with pytest.raises(UnknownName, match="learning_rate"):
        embedonce.fit_head("linear", corpus, runs=folder / "runs", learning_rate=1.0, **FAST)
    with pytest.raises(CallError, match="C"):
        embedonce.fit_head("linear", corpus, runs=folder / "runs", C=-1.0, **FAST)


def test_a_comparison_is_a_table_in_text_and_html(run: embedonce.Run, corpus: embedonce.EmbeddedCorpus) -> None:
    other = embedonce.fit_head("prototype", corpus, runs=run.folder.parent, **FAST)
    comparison = embedonce.compare([run, other.folder])
    assert run.name in repr(comparison)
    html = comparison._repr_html_()
    assert html.count("<tr>") == 3
    assert other.name in html
    assert {row["run"] for row in comparison.to_json()["rows"]} == {run.name, other.name}
    assert repr(embedonce.compare(run.folder.parent)) == repr(comparison)
    assert comparison.choice is not None and repr(comparison).endswith(comparison.choice.sentence)
    assert f"Take {comparison.choice.run}" in html
    tolerant = embedonce.compare([run, other], margin=1.0, cost="size").choice
    assert tolerant is not None and (tolerant.margin, tolerant.cost, len(tolerant.candidates)) == (1.0, "size", 2)


def test_scikit_learn_is_imported_only_with_what_needs_it() -> None:
    code = "import embedonce, sys; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_labels_are_escaped_in_html(run: embedonce.Run) -> None:
    comparison = embedonce.compare([run])
    comparison._compared = comparison._compared.__class__(
        **{**vars(comparison._compared), "notes": ("<script>alert(1)</script>",)}
    )
    assert "<script>" not in comparison._repr_html_()


def test_texts_in_memory_are_embedded_once(folder: Path) -> None:
    with TICKETS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:40]
    texts, labels = [row["body"] for row in rows], [row["queue"] for row in rows]
    arguments: dict[str, Any] = {"label": labels, "stores": folder / "memory", "progress": False}
    first = embedonce.embed(texts, **arguments)
    second = embedonce.embed(texts, **arguments)
    assert first.store == second.store
    assert np.array_equal(first.train.pooled("mean"), second.train.pooled("mean"))


def test_nothing_is_printed_without_progress(
    corpus: embedonce.EmbeddedCorpus, run: embedonce.Run, capfd: pytest.CaptureFixture[str]
) -> None:
    embedonce.embed(TICKETS, text="body", label="queue", stores=corpus.store.parent, progress=False)
    embedonce.fit_head("knn", corpus, runs=run.folder.parent, **FAST)
    run.predict(["a text"], progress=False)
    assert capfd.readouterr() == ("", "")


def test_progress_is_a_bar_on_the_stderr_of_a_terminal_or_a_notebook_but_not_in_a_file(
    run: embedonce.Run, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run.predict(["a text"])
    assert capfd.readouterr() == ("", "")
    with monkeypatch.context() as patched:
        patched.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        run.predict(["a text"])
        shown = capfd.readouterr()
        assert shown.out == "" and "predicting" in shown.err
    of_notebook = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(sys, "stderr", of_notebook)
    run.predict(["a text"])
    assert "predicting" in of_notebook.getvalue()


def test_a_damaged_run_is_refused(run: embedonce.Run, tmp_path: Path) -> None:
    copy = tmp_path / run.name
    copy.mkdir()
    (copy / "run.json").write_text("{}")
    with pytest.raises(RunDamaged):
        embedonce.load_run(copy)


def test_a_foreign_package_in_the_place_of_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "__init__.py").write_text("")
    root = Path(__file__).resolve().parents[3]
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(root)!r}]; import embedonce"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "nother package named 'data'" in result.stderr.splitlines()[-1]


def test_arguments_that_would_be_ignored_are_refused(corpus: embedonce.EmbeddedCorpus, run: embedonce.Run) -> None:
    with pytest.raises(CallError, match="labels in columns"):
        embedonce.embed(TICKETS, label=["billing"] * 240, progress=False)
    with pytest.raises(CallError, match="go with the name of a head"):
        embedonce.fit_head(run.head, corpus, C=2.0, **FAST)


def test_copies_are_made_encoded_and_fitted_on(corpus: embedonce.EmbeddedCorpus, folder: Path) -> None:
    out = folder / "few.jsonl"
    copies = embedonce.augment(corpus, "deletion", to=50, out=out, progress=False)
    assert copies.name == "few" and 0 < len(copies) < 50 and out.is_file()
    run = embedonce.fit_head("linear", corpus, runs=folder / "augmented", augmented=[copies], test=False, **FAST)
    assert run.stored.record.copies == {"few": len(copies)}
    again = embedonce.fit_head("linear", corpus, runs=folder / "augmented", augmented=["few"], test=False, **FAST)
    assert again.stored.name == run.stored.name
