"""`explain` shows the words that a label was planted in, and says in a sentence what it cannot show."""

import html
import json
import re
import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commandline.explain import highlight
from data.documents import Document
from featurestore import FeatureStore
from heads.registry import make_head
from stages.embed import Options
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source
from stages.explain import Attribution
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from tests.conftest import Run, write_csv
from tests.tiny_encoder import make_static

SIGNAL = {"oil": "Vienna", "sport": "Penalties", "cards": "Triangles"}
FILLER = ["the", "wheat", "and", "corn", "exports", "fell", "said", "a", "new", "second", "rose", "after", "monday"]


def written(seed: int, label: str, words: int = 22) -> tuple[str, int]:
    """A text with one word that tells its label, and where that begins."""
    rng = np.random.default_rng(seed)
    own = list(rng.choice(FILLER, size=words))
    place = int(rng.integers(words))
    own[place] = SIGNAL[label]
    return "  ".join(own), len("  ".join([*own[:place], ""]))


@dataclass(frozen=True)
class Desk:
    """A folder with a table, its store and runs; places: id -> where the telling word begins."""

    folder: Path
    runs: dict[str, str]
    places: dict[str, int]

    @property
    def at(self) -> list[str]:
        return ["--stores", str(self.folder / "stores"), "--runs", str(self.folder / "runs")]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A static encoder: of each token one vector, so that nothing but the telling word's place tells the label."""
    folder = tmp_path_factory.mktemp("desk")
    texts = {f"d{row}": written(row, label) for row, label in enumerate([*SIGNAL] * 40)}
    labels = [*SIGNAL] * 40
    split = ["test" if row % 4 == 3 else "train" for row in range(len(labels))]
    documents = [
        Document(name, text, (label,), side)
        for (name, (text, _)), label, side in zip(texts.items(), labels, split, strict=True)
    ]
    documents += [
        Document("short", "vienna", ("oil",), "test"),
        Document("empty", "", ("oil",), "test"),
        Document("word", "goalkeeperless", ("oil",), "test"),
        Document("pieces", "viennas goalkeeperless", ("oil",), "test"),
        Document("<b>", "vienna said\n<script>alert(1)</script>\x1b[31m the\x00 end", ("oil",), "test"),
    ]
    options = Options(
        model=str(make_static(folder / "model", dim=32)),
        window=12,
        stride=2,
        segment=4,
        keep=("cls", "mean", "max", "segments", "tokens"),
    )
    source = str(write_csv(folder / "made.csv", documents))
    explicit = frozenset({"model", "window", "stride", "segment", "keep"})
    request = EmbedRequest(source=source, options=options, stores=folder / "stores", explicit=explicit)
    store, _ = embed_source(request, notify=lambda _: None, progress=lambda _: None)
    return Desk(folder, _runs(store, folder / "runs"), {name: place for name, (_, place) in texts.items()})


def _runs(store: FeatureStore, folder: Path) -> dict[str, str]:
    asked: dict[str, tuple[str, dict[str, str]]] = {
        "segments": ("linear", {"pooling": "segments", "C": "30"}),
        "all": ("linear", {}),
        "tokens": (
            "attention",
            {
                **{"over": "tokens", "hidden": "16", "gate": "16", "label_smoothing": "0"},
                **{"epochs": "8", "min_steps": "20", "lr": "0.02"},
            },
        ),
        "chunks": ("mlp", {"hidden": "16", "epochs": "5", "min_steps": "10"}),
    }
    plans = {
        name: FitPlan(head=make_head(head, settings), folds=2, tune=False) for name, (head, settings) in asked.items()
    }
    return {name: fit_head(store, store.corpus("made"), plan, folder)[0].name for name, plan in plans.items()}


def run_next(embedonce: Run, desk: Desk, command: str, document: str) -> dict[str, Any]:
    """The explanation of a document by the run that a suggested command makes, with the fewest epochs."""
    before = {path.name for path in (desk.folder / "runs").iterdir()}
    fitted = embedonce(*shlex.split(command), "--folds", 2, "--set", "epochs=1")
    assert fitted.code == 0, fitted.err
    (name,) = {path.name for path in (desk.folder / "runs").iterdir()} - before
    shown: dict[str, Any] = json.loads(embedonce("explain", name, document, *desk.at, "--json").out)["documents"][0]
    shutil.rmtree(desk.folder / "runs" / name)
    return shown


def explained(embedonce: Run, desk: Desk, run: str, *arguments: object) -> list[dict[str, Any]]:
    shown = embedonce("explain", desk.runs[run], *arguments, *desk.at, "--json")
    assert shown.code == 0, shown.err
    found: list[dict[str, Any]] = json.loads(shown.out)["documents"]
    return found


@pytest.mark.parametrize(("run", "level"), [("segments", "segments"), ("tokens", "words")])
def test_the_word_that_determines_the_label_is_in_the_strongest_evidence(
    embedonce: Run, desk: Desk, run: str, level: str
) -> None:
    for each in explained(embedonce, desk, run, *(f"d{row}" for row in range(3, 60, 4))):
        assert each["predicted_labels"] == each["true_labels"] and each["level"] == level
        first = max(each["attributions"], key=lambda item: item["contribution"])
        start, stop = first["span"]
        assert start <= desk.places[each["id"]] < stop and first["contribution"] > 0
        assert SIGNAL[each["label"]] in first["text"]
        assert each["probability_without_strongest"] < dict(each["probabilities"])[each["label"]]


@pytest.mark.parametrize("by", ["chunks", "segments", "tokens"])
def test_every_excerpt_is_the_text_at_its_span(embedonce: Run, desk: Desk, by: str) -> None:
    (each,) = explained(embedonce, desk, "tokens", "d3", "--by", by)
    assert [item["text"] for item in each["attributions"]] == [
        each["text"][slice(*item["span"])] for item in each["attributions"]
    ]
    words = [word for item in each["attributions"] for word in item["text"].split()]
    first, second, third = (each["text"].split()[start:stop] for start, stop in ((0, 12), (10, 22), (20, 22)))
    assert words == [*first, *second, *third][: len(words)] and len(words) == 24


def test_a_word_has_the_evidence_of_its_pieces(embedonce: Run, desk: Desk) -> None:
    asked = (embedonce, desk, "tokens", "pieces", "--method", "gradient", "--by")
    (words,), (tokens,) = explained(*asked, "words"), explained(*asked, "tokens")
    assert [item["text"] for item in words["attributions"]] == ["viennas", "goalkeeperless"]
    assert len(tokens["attributions"]) > 2
    totals = [sum(item["contribution"] for item in each["attributions"]) for each in (words, tokens)]
    assert totals[0] == pytest.approx(totals[1], abs=1e-5)


def test_the_note_on_a_single_word_names_the_option_for_its_pieces(embedonce: Run, desk: Desk) -> None:
    shown = embedonce("explain", desk.runs["tokens"], "word", *desk.at)
    assert (
        "This document is a single word for attention" in shown.err and "Use --by tokens for its pieces." in shown.err
    )


def test_evidence_for_one_label_is_evidence_against_another(embedonce: Run, desk: Desk) -> None:
    (own,) = explained(embedonce, desk, "segments", "d3", "--for", "oil", "--against", "sport")
    (other,) = explained(embedonce, desk, "segments", "d3", "--for", "sport", "--against", "oil")
    assert own["true_labels"] == ["oil"] and own["margin"] == pytest.approx(-other["margin"])
    assert [item["contribution"] for item in own["attributions"]] == pytest.approx(
        [-item["contribution"] for item in other["attributions"]], abs=1e-4
    )


def test_if_every_unit_is_evidence_for_the_label_none_is_left_out_together(embedonce: Run, desk: Desk) -> None:
    asked = (embedonce, desk, "tokens", "d3", "--method", "attention", "--top")
    (some,), (whole,) = (explained(*asked, top) for top in (5, 1000))
    assert some["removed"] == 5 and some["probability_without_strongest"] is not None
    assert all(item["contribution"] > 0 for item in whole["attributions"])
    assert (whole["removed"], whole["probability_without_strongest"]) == (0, None)


def test_without_the_text_tokens_are_decoded(embedonce: Run, desk: Desk) -> None:
    moved = desk.folder / "elsewhere.csv"
    (desk.folder / "made.csv").rename(moved)
    try:
        shown = embedonce("explain", desk.runs["segments"], "d3", *desk.at, "--json")
        found = embedonce("explain", desk.runs["segments"], "d3", *desk.at, "--source", moved, "--json")
    finally:
        moved.rename(desk.folder / "made.csv")
    assert "The text is not available" in shown.err and "--source" in shown.err
    decoded, read = (json.loads(each.out)["documents"][0] for each in (shown, found))
    assert decoded["is_decoded"] and decoded["text"] is None and not read["is_decoded"]
    for one, other in zip(decoded["attributions"], read["attributions"], strict=True):
        assert one["span"] is None and one["text"].split() == other["text"].lower().split()
        assert one["contribution"] == other["contribution"]


def test_without_the_text_tokens_are_not_joined_to_words(embedonce: Run, desk: Desk) -> None:
    moved = desk.folder / "elsewhere.csv"
    (desk.folder / "made.csv").rename(moved)
    try:
        (each,) = explained(embedonce, desk, "tokens", "d3")
        refused = embedonce("explain", desk.runs["tokens"], "d3", "--by", "words", *desk.at)
    finally:
        moved.rename(desk.folder / "made.csv")
    assert each["level"] == "tokens"
    assert refused.code == 2 and "Name it with --source or --encoder, or use --by tokens." in refused.err


def test_without_the_encoder_chunks_keep_their_place(embedonce: Run, desk: Desk) -> None:
    shutil.move(desk.folder / "model", desk.folder / "moved")
    try:
        shown = embedonce("explain", desk.runs["segments"], "d3", *desk.at, "--json")
        chunks = embedonce("explain", desk.runs["segments"], "d3", "--by", "chunks", *desk.at, "--json")
        found = embedonce(
            "explain", desk.runs["segments"], "d3", *desk.at, "--encoder", desk.folder / "moved", "--json"
        )
    finally:
        shutil.move(desk.folder / "moved", desk.folder / "model")
    assert "The tokenizer is not available" in shown.err and "--encoder" in shown.err
    assert {item["text"] for item in json.loads(shown.out)["documents"][0]["attributions"]} == {""}
    (each,) = json.loads(chunks.out)["documents"]
    assert all(item["text"] == each["text"][slice(*item["span"])] for item in each["attributions"])
    assert all(item["text"] for item in json.loads(found.out)["documents"][0]["attributions"])


def test_a_text_that_was_changed_is_not_shown(embedonce: Run, desk: Desk, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "other.csv", [Document("d3", "another text", ("oil",), "test")])
    shown = embedonce("explain", desk.runs["segments"], "d3", *desk.at, "--source", path)
    assert shown.code == 1
    assert "does not have the text that was embedded as 'd3'. Either the file has changed, or another" in shown.err


def test_a_document_of_one_vector_has_no_attributions_and_a_note_has_the_next_command(
    embedonce: Run, desk: Desk
) -> None:
    shown = embedonce("explain", desk.runs["chunks"], "short", *desk.at)
    assert shown.code == 0 and "predicted" in shown.out
    reason = "This document is a single chunk for mlp: there is nothing to leave out. To see more, fit a head over segm"
    (note,) = [line for line in shown.err.splitlines() if reason in line]
    (command,) = re.findall("`embedonce ([^`]+)`", note)
    assert run_next(embedonce, desk, command, "short")["level"] == "segments"


def test_without_tokens_the_note_has_the_command_that_stores_them(embedonce: Run, desk: Desk, tmp_path: Path) -> None:
    """Every option of the corpus and of the encoder, on a table whose columns are not those that would be guessed."""
    rows = "".join(
        f"{row};the {SIGNAL[label]} said;more {row};{label if row else ''}\n" for row, label in enumerate([*SIGNAL] * 8)
    )
    (tmp_path / "t.csv").write_text(f"key;one;two;kind\n{rows}")
    options = ["--text", "one", "--text", "two", "--template", "{one}\\n{two}", "--label", "kind", "--id", "key"]
    encoding = ["--window", 12, "--stride", 2, "--dtype", "float32", "--layers", "-1", "--prefix", "so: "]
    model = ["--model", desk.folder / "model", "--keep", "mean,segments:16"]
    assert embedonce("embed", "t.csv", "--store", "kept", *options, *encoding, *model).code == 0
    fit = ["fit-head", "linear", "--set", "pooling=segments", "--folds", 2]
    assert embedonce(*fit, "--store", "kept", "--skip-unlabeled").code == 0
    (run,) = [path.name for path in (tmp_path / "runs").iterdir()]
    note = embedonce("explain", run, "3", "--store", "kept").err
    embed, fit_again = re.findall("`embedonce ([^`]+)`", note)
    assert "--keep=mean,segments:16,tokens" in embed and fit_again.endswith("--store kept-tokens --skip-unlabeled")
    done = embedonce(*shlex.split(embed))
    assert done.code == 0, done.err
    assert (
        replace(FeatureStore.open("kept-tokens").recipe, keep=("mean", "segments")) == FeatureStore.open("kept").recipe
    )
    fitted = embedonce(*shlex.split(fit_again), "--folds", 2, "--set", "epochs=1")
    assert fitted.code == 0, fitted.err


@pytest.mark.parametrize("run", ["segments", "all", "tokens", "chunks"])
def test_an_empty_document_is_reported(embedonce: Run, desk: Desk, run: str) -> None:
    shown = embedonce("explain", desk.runs[run], "empty", *desk.at)
    assert shown.code == 0 and "The document is empty: there is nothing to explain." in shown.err


def test_views_that_stay_whole_are_named(embedonce: Run, desk: Desk) -> None:
    shown = embedonce("explain", desk.runs["all"], "d3", *desk.at)
    assert "linear also reads cls and max, which stay whole when segments are left out" in shown.err
    shown = embedonce("explain", desk.runs["all"], "d3", "--by", "chunks", *desk.at)
    assert "stay whole" not in shown.err


def test_a_training_document_is_reported(embedonce: Run, desk: Desk) -> None:
    assert (
        "This is a training document: the head was fitted on its label."
        in embedonce("explain", desk.runs["segments"], "d0", *desk.at).err
    )


def test_a_pipe_gets_the_text_with_the_strongest_in_brackets(embedonce: Run, desk: Desk) -> None:
    (each,) = explained(embedonce, desk, "segments", "d3")
    first = max(each["attributions"], key=lambda item: item["contribution"])
    shown = embedonce("explain", desk.runs["segments"], "d3", "--top", 1, *desk.at)
    assert f"[{first['contribution']:+.2f}: {first['text']}]" in shown.out


def test_a_terminal_is_sent_no_control_signs_of_a_text(embedonce: Run, desk: Desk) -> None:
    shown = embedonce("explain", desk.runs["segments"], "<b>", *desk.at)
    assert shown.code == 0 and "\x1b" not in shown.out and "\x00" not in shown.out


def test_of_a_long_text_what_stands_around_the_strongest_is_shown() -> None:
    text = "".join(f"{number:07} " for number in range(1000))
    items = [Attribution("segments", 1, place, (800 * place, 800 * place + 8), "", place - 2.0) for place in range(10)]
    drawn = highlight(text, items, [items[5], items[0]], use_colors=False).plain
    assert drawn.startswith("[-2.00: 0000000 ]0000001 ") and "[+3.00: 0000500 ]0000501 " in drawn
    gaps = re.findall(r" \[([\d,]+) characters left out\] ", drawn)
    assert [int(gap.replace(",", "")) for gap in gaps] == [3880 - 128, 8000 - 4128]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["d3x"], "made has no document 'd3x'. Did you mean 'd3'?"),
        (["d3", "--for", "sprot"], "has no label 'sprot'. Did you mean 'sport'?"),
        (["d3", "--against", "oils"], "has no label 'oils'. Did you mean 'oil'?"),
        (["d3", "--for", "oil", "--against", "oil"], "'oil' cannot be compared with itself. Name another label"),
        (["d3", "--by", "tokens"], "linear reads segments, nothing as fine as tokens. Omit --by."),
        (["d3", "--method", "attention"], "linear has no attention weights"),
    ],
)
def test_what_does_not_exist_is_named(embedonce: Run, desk: Desk, arguments: list[str], sentence: str) -> None:
    shown = embedonce("explain", desk.runs["segments"], *arguments, *desk.at)
    assert shown.code == 2 and sentence in shown.err


def test_an_unknown_run_names_the_nearest(embedonce: Run, desk: Desk) -> None:
    shown = embedonce("explain", desk.runs["segments"][:-1], "d3", *desk.at)
    assert shown.code == 2 and "Did you mean 'linear-" in shown.err


def test_the_base_runs_of_a_stack_are_named(embedonce: Run, desk: Desk) -> None:
    asked = [part for name in ("segments", "all") for part in ("--run", desk.runs[name])]
    fitted = embedonce("fit-head", "stack", *asked, "--folds", 2, "--no-tune", *desk.at, "--json")
    assert fitted.code == 0, fitted.err
    shown = embedonce("explain", json.loads(fitted.out)["rows"][0]["run"], "d3", *desk.at)
    assert shown.code == 2 and "does not read the text. Explain one of them: linear-" in shown.err


def test_the_page_escapes_what_a_user_wrote_and_marks_it(embedonce: Run, desk: Desk, tmp_path: Path) -> None:
    assert embedonce("explain", desk.runs["segments"], "d3", "d7", "<b>", *desk.at, "--html", "why.html").code == 0
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert page.count("<article>") == 3 and 'class="for-8"' in page and "http" not in page.replace("http-equiv", "")
    assert "<b></bdi>" not in page and "&lt;b&gt;" in page
    shown = re.findall(r'<p class="text" dir="auto">(.*?)</p>', page, re.DOTALL)[2]
    plain = html.unescape(re.sub(r"</?mark[^>]*>", "", shown))
    assert plain == "vienna said\n<script>alert(1)</script>\ufffd[31m the\ufffd end" and "<script" not in page


def test_a_label_column_in_the_settings_is_no_label_to_explain(embedonce: Run, desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "embedonce.toml").write_text('source = "made.csv"\nlabel = "label"\n')
    shutil.copy(desk.folder / "made.csv", tmp_path / "made.csv")
    assert embedonce("explain", desk.runs["segments"], "d3", *desk.at).code == 0


def test_a_method_that_the_head_has_nothing_for_is_refused_for_a_short_document_too(embedonce: Run, desk: Desk) -> None:
    shown = embedonce("explain", desk.runs["chunks"], "short", "--method", "attention", *desk.at)
    assert (shown.code, shown.out) == (2, "") and "mlp has no attention weights" in shown.err


def test_an_unknown_id_is_answered_with_the_ids_of_the_nearest_numbers(embedonce: Run, desk: Desk) -> None:
    shown = embedonce("explain", desk.runs["chunks"], "T-1", *desk.at)
    assert "made has no document 'T-1'. Nearest ids: d1, d0, d2." in shown.err


def test_a_corpus_that_has_changed_since_the_fit_is_reported(embedonce: Run, desk: Desk, tmp_path: Path) -> None:
    shutil.copytree(desk.folder, tmp_path / "desk")
    at = ["--stores", "desk/stores", "--runs", "desk/runs"]
    assert "has changed since" not in embedonce("explain", desk.runs["chunks"], "d0", *at).err
    (corpus,) = (tmp_path / "desk" / "stores").glob("*/corpora/made.csv")
    corpus.write_text(corpus.read_text(encoding="utf-8").replace("oil", "gas"), encoding="utf-8")
    shown = embedonce("explain", desk.runs["chunks"], "d0", *at)
    assert "made has changed since" in shown.err and "which the head may not have been fitted on" in shown.err


def test_without_segments_in_the_store_there_are_none_to_ask_for(embedonce: Run, desk: Desk, tmp_path: Path) -> None:
    options = Options(model=str(desk.folder / "model"), window=12, keep=("cls", "mean"))
    request = EmbedRequest(
        source=str(desk.folder / "made.csv"),
        options=options,
        stores=tmp_path / "stores",
        explicit=frozenset({"model", "window", "keep"}),
    )
    store, _ = embed_source(request, notify=lambda _: None, progress=lambda _: None)
    plan = FitPlan(head=make_head("tfidf", {}), folds=2, tune=False)
    run, _ = fit_head(store, store.corpus("made"), plan, tmp_path / "runs")
    at = ["--stores", str(tmp_path / "stores"), "--runs", str(tmp_path / "runs"), "--by", "segments"]
    shown = embedonce("explain", run.name, "d3", *at)
    assert shown.code == 2 and "This store has no segments: use --by chunks or --by tokens" in shown.err
