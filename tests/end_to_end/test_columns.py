"""Several text columns and tabular columns, from a file to predictions and explanations, by the commands alone."""

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import embedonce as api
from data.source_spec import SourceSpec
from data.tabular import Tabular
from featurestore import FeatureStore
from heads.registry import make_head
from stages.embed import Options
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source
from stages.fitting import runs
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from tests.conftest import Result, Run
from tests.tiny_encoder import make_static

WORDS = {"oil": "barrel crude tanker", "sport": "goal puck referee"}
TEMPLATE = "{subject}\n{body}"
NAMES = ["subject", "body", "amount", "land", "label"]


def rows(count: int = 160, seed: int = 0) -> list[dict[str, str]]:
    """Half of a label is in the words, the other half in the amount and in the land."""
    chance = random.Random(seed)
    made = []
    for row in range(count):
        topic, size = list(WORDS)[row % 2], ("small", "large")[row // 2 % 2]
        text = " ".join(chance.choices(WORDS[topic].split(), k=4))
        amount = f"{chance.gauss(300 if size == 'large' else 100, 60):.2f}" if chance.random() < 0.95 else "n/a"
        land = ("AT" if size == "large" else "CH") if chance.random() < 0.8 else chance.choice(["DE", "", "LI"])
        made.append(
            {"subject": text, "body": f"number {row}", "amount": amount, "land": land, "label": f"{topic} {size}"}
        )
    return made


def write(path: Path, rows: list[dict[str, str]], names: list[str] = NAMES) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, names, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    return path


def predictions(result: Result) -> list[str]:
    assert result.code == 0, result.err
    return [row["prediction"] for row in csv.DictReader(result.out.splitlines())]


def accuracy(found: Sequence[str], truth: Sequence[dict[str, str]]) -> float:
    return sum(one == row["label"] for one, row in zip(found, truth, strict=True)) / len(truth)


@dataclass(frozen=True)
class Mail:
    """A folder with mail.csv, a store of it, and runs of linear with and without its tabular columns, and of stack."""

    folder: Path
    linear: str
    without: str
    stack: str

    @property
    def at(self) -> tuple[str, ...]:
        return "--runs", str(self.folder / "runs")


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Mail:
    folder = tmp_path_factory.mktemp("mail")
    source, spec = str(write(folder / "mail.csv", rows())), SourceSpec(template=TEMPLATE, tabular=("amount", "land"))
    options = Options(model=str(make_static(folder / "model", 16)), segment=2, keep=("cls", "mean", "max", "segments"))
    request = EmbedRequest(
        source=source, spec=spec, options=options, stores=folder / "stores", explicit=frozenset({"segment", "keep"})
    )
    store, _ = embed_source(request, notify=lambda _: None, progress=lambda _: None)
    table = store.corpus("mail")

    def fit(head: str, tabular: Tabular | None = table.tabular) -> str:
        plan = FitPlan(head=make_head(head, {}), folds=2)
        return fit_head(store, replace(table, tabular=tabular), plan, folder / "runs", jobs=1)[0].name

    return Mail(folder, fit("linear"), fit("linear", None), fit("stack"))


def test_the_columns_are_kept_with_the_corpus_and_used_or_not(embedonce: Run, mail: Mail) -> None:
    shown = embedonce("compare", *mail.at)
    assert "amount, land" in shown.out and "different sets of documents" not in shown.err
    run, without, stack = (runs.load(mail.folder / "runs" / name) for name in (mail.linear, mail.without, mail.stack))
    assert list(run.record.tabular) == list(stack.record.tabular) == ["amount:number", "land:category"]
    assert not without.record.tabular
    assert run.scorecards["out_of_fold"].accuracy.value > without.scorecards["out_of_fold"].accuracy.value + 0.25
    again = embedonce("fit-head", "linear", "--folds", 2, "--no-tabular", "--stores", mail.folder / "stores", *mail.at)
    assert mail.without in again.out, again.err


def test_a_head_that_reads_the_text_alone_says_so_once(embedonce: Run, mail: Mail) -> None:
    stores = ("--stores", mail.folder / "stores")
    shown = embedonce("fit-head", "prototype", "--folds", 2, "--jobs", 1, *stores, "--runs", mail.folder / "others")
    assert shown.err.count("prototype reads the text alone, not the tabular columns.") == 1


def test_a_raw_file_is_predicted_by_the_columns_of_the_corpus(embedonce: Run, mail: Mail) -> None:
    """Other documents, with columns in another order and lower-case blanks; text and tabular columns by the recipe."""
    new = rows(40, seed=1)
    write(mail.folder / "new.csv", new, ["land", "n", "body", "amount", "subject"])
    result = embedonce("predict", mail.linear, mail.folder / "new.csv", *mail.at)
    assert accuracy(predictions(result), new) > 0.8
    assert "missing" not in result.err
    assert accuracy(predictions(embedonce("predict", mail.stack, mail.folder / "new.csv", *mail.at)), new) > 0.8
    joined = [{**row, "text": f"{row['subject']}\n{row['body']}"} for row in new]
    write(mail.folder / "joined.csv", joined, ["text", "amount", "land"])
    by_text = embedonce("predict", mail.linear, mail.folder / "joined.csv", "--text", "text", *mail.at)
    assert by_text.out == result.out


def test_columns_that_a_file_lacks_are_named_and_missing(embedonce: Run, mail: Mail) -> None:
    new = rows(40, seed=1)
    write(mail.folder / "few.csv", new, ["subject", "body"])
    result = embedonce("predict", mail.linear, mail.folder / "few.csv", *mail.at)
    assert len(predictions(result)) == 40
    assert (
        f"few.csv lacks the tabular columns 'amount', 'land' of {mail.linear}: every value is read as missing"
        in result.err
    )
    write(mail.folder / "one.csv", new, ["subject", "body", "amount"])
    result = embedonce("predict", mail.stack, mail.folder / "one.csv", *mail.at)
    assert "lacks the tabular column 'land' of" in result.err
    assert "lacks" not in embedonce("predict", mail.without, mail.folder / "few.csv", *mail.at).err


def test_an_explanation_covers_the_text_and_says_so(embedonce: Run, mail: Mail) -> None:
    shown = embedonce("explain", mail.linear, "1", "--stores", mail.folder / "stores", *mail.at)
    assert shown.code == 0, shown.err
    assert "segment 1" in shown.out
    assert "linear also reads the tabular columns 'amount', 'land': evidence is shown for the text only." in shown.err


def test_a_data_frame_is_predicted_by_the_columns_of_the_corpus(mail: Mail) -> None:
    frame, new = pytest.importorskip("pandas").DataFrame, rows(40, seed=1)
    run = api.load_run(mail.folder / "runs" / mail.linear)
    found = run.predict(frame(new), progress=False)
    assert accuracy(found.tolist(), new) > 0.8
    texts = [f"{row['subject']}\n{row['body']}" for row in new]
    with pytest.warns(UserWarning, match="the input lacks the tabular columns 'amount', 'land' of linear-"):
        missing = run.predict(texts, progress=False)
    assert accuracy([label.split()[0] for label in missing], [{"label": row["label"].split()[0]} for row in new]) > 0.9


def test_columns_are_named_on_the_command_line(embedonce: Run, mail: Mail) -> None:
    columns = ("--template", r"{subject}\n{body}", "--tabular", "amount, land:category")
    arguments = ("--model", mail.folder / "model", "--store", mail.folder / "named", "--label", "label")
    result = embedonce("embed", mail.folder / "mail.csv", *columns, *arguments)
    assert result.code == 0, result.err
    assert "tabular columns are 'amount' (numbers, " in result.err and "'land'" not in result.err
    spec = FeatureStore.open(mail.folder / "named").corpus("mail").spec
    assert (spec.template, spec.tabular) == (TEMPLATE, ("amount:number", "land:category"))
