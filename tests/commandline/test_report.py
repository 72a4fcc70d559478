"""`report` writes the page of one run, with texts and with the chunks that are evidence for its errors."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from data.documents import Document
from heads.registry import make_head
from stages.comparing import report_documents
from stages.embed import Options
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from tests.conftest import Run, write_csv
from tests.stages.report.html_tree import Element, parse_page
from tests.suggested_commands import suggested
from tests.tiny_encoder import make_static

SIGNAL = {"oil": "Vienna", "sport": "Penalties"}
FILLER = ["the", "wheat", "and", "corn", "exports", "fell", "said", "a", "new", "second", "rose", "after", "monday"]


def text_about(label: str, seed: int) -> str:
    """A text of several chunks, the last of which has the word that tells its label."""
    return " ".join([*np.random.default_rng(seed).choice(FILLER, size=22), SIGNAL[label]])


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a table, its store and a run, whose name is second. The test document "odd" has a wrong label."""
    folder = tmp_path_factory.mktemp("desk")
    labels = [*SIGNAL] * 24
    documents = [
        Document(f"d{row}", text_about(label, row), (label,), "test" if row % 6 > 3 else "train")
        for row, label in enumerate(labels)
    ]
    documents += [Document("odd", text_about("oil", 99), ("sport",), "test")]
    source = str(write_csv(folder / "made.csv", documents))
    explicit = {"model": str(make_static(folder / "model", dim=32)), "window": 12, "stride": 2}
    options = Options(**explicit, keep=("cls", "mean", "max"))  # type: ignore[arg-type]
    request = EmbedRequest(source=source, options=options, stores=folder / "stores", explicit=frozenset(explicit))
    store, _ = embed_source(request, notify=lambda _: None, progress=lambda _: None)
    plan = FitPlan(head=make_head("linear", {"C": "30"}), folds=2, tune=False)
    return folder, fit_head(store, store.corpus("made"), plan, folder / "runs")[0].name


def page_of(embedonce: Run, desk: tuple[Path, str], stores: Path | None = None) -> Element:
    folder, run = desk
    written = embedonce(
        "report", run, "--html", "page.html", "--runs", folder / "runs", "--stores", stores or folder / "stores"
    )
    assert written.code == 0, written.err
    assert written.err.endswith("The report page is page.html.\n")
    return parse_page(Path("page.html").read_text(encoding="utf-8"))


def test_the_page_of_a_run_has_its_texts_and_the_chunk_that_is_evidence_for_an_error(
    embedonce: Run, desk: tuple[Path, str]
) -> None:
    page = page_of(embedonce, desk)
    assert page.all("h1")[0].text == desk[1]
    assert not page.all("nav", "tabs") and not page.all("section", "versus")
    (data,) = (json.loads(script.raw) for script in page.all("script") if "type" in script.attributes)
    (documents,) = data["sets"]
    assert documents["texts"][documents["ids"].index("odd")] == text_about("oil", 99)
    (errors,) = page.all("table", "errors")
    assert errors.all("tbody")[0].all("th")[0].text == "odd"
    strongest = errors.all("ul", "evidence")[0].all("li")[0].text
    assert re.match(r"\+\d+\.\d{3} for oil, chunk \d: .*Vienna$", strongest)


def test_a_document_of_too_many_chunks_names_the_command_that_explains_it(
    embedonce: Run, desk: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_documents, "MOST_CHUNKS", 1)
    text = page_of(embedonce, desk).text
    (command,) = set(re.findall(r"more than 1 chunks: (`embedonce explain [^`]+ odd`) shows", text))
    (parameters,) = suggested(command)
    assert (parameters["run"], parameters["documents"]) == (desk[1], ("odd",))
    assert parameters["runs"] == desk[0] / "runs" and parameters["store"].parent == desk[0] / "stores"


def test_without_the_store_the_page_says_what_is_left_out(embedonce: Run, desk: tuple[Path, str]) -> None:
    page = page_of(embedonce, desk, stores=Path("elsewhere"))
    assert "Texts and evidence are left out: " in page.text and page.all("table", "errors")
    assert not page.all("ul", "evidence")


def test_a_source_that_has_moved_leaves_out_the_texts_alone(embedonce: Run, desk: tuple[Path, str]) -> None:
    source = desk[0] / "made.csv"
    moved = source.rename(desk[0] / "moved.csv")
    try:
        page = page_of(embedonce, desk)
    finally:
        moved.rename(source)
    assert "The texts are not available." in page.text and "vienna" in page.all("ul", "evidence")[0].text


def test_report_needs_a_run_and_a_file(embedonce: Run, desk: tuple[Path, str]) -> None:
    assert "Missing option '--html'" in embedonce("report", desk[1]).err
    wrong = embedonce("report", desk[1][:-1], "--html", "page.html", "--runs", desk[0] / "runs")
    assert wrong.code == 2 and f"Did you mean '{desk[1]}'?" in wrong.err
