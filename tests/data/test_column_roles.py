"""Which columns are taken when the user names none."""

from pathlib import Path

import pytest

from data.errors import ColumnMissing
from data.readers import read_corpus
from data.source_spec import SourceSpec
from tests.data.tables import write


def note_of(folder: Path, row: dict[str, str], columns: SourceSpec | None = None) -> tuple[str, ...]:
    return read_corpus(write(folder, "csv", [row]), columns).notes


@pytest.mark.parametrize("spec", [SourceSpec(text=("",)), SourceSpec(levels=("topic", ""))])
def test_a_column_without_a_name_is_missing(spec: SourceSpec, tmp_path: Path) -> None:
    with pytest.raises(ColumnMissing, match=r"letters\.csv has no column ''"):
        note_of(tmp_path, {"text": "a", "topic": "x"}, spec)


def test_every_guess_is_reported_with_the_option_that_names_it(tmp_path: Path) -> None:
    row = {"Body": "a", "topic": "x", "fold": "dev"}
    rows = [{"ID": f"u{number}", **row, "author": f"author {number}"} for number in range(20)]
    assert read_corpus(write(tmp_path, "csv", rows)).notes == (
        "text is read from column 'Body', labels from 'topic', ids from 'ID', the split from 'fold' and groups from "
        "'author' (guessed; name them with --text, --label, --id, --split and --group)",
        "documents with the same 'author' stay together when a split or folds are drawn: 20 groups, the largest of 1 "
        "document",
    )


@pytest.mark.parametrize(
    ("authors", "found"),
    [
        (["Ada", "Ben"] * 50, "2 groups, the largest of 50%"),
        ([f"author {row % 19}" for row in range(190)], "19 groups, the largest of 5%"),
        (["Ada"] * 21 + [f"author {row}" for row in range(79)], "80 groups, the largest of 21%"),
        ([""] * 20, "0 groups, the largest of 0%"),
    ],
)
def test_a_guessed_column_with_few_or_large_groups_is_not_used(tmp_path: Path, authors: list[str], found: str) -> None:
    source = write(tmp_path, "csv", [{"text": f"text {row}", "author": author} for row, author in enumerate(authors)])
    corpus = read_corpus(source, SourceSpec(label=""))
    assert {document.group for document in corpus.documents} == {None}
    assert corpus.notes[-1] == (
        "column 'author' is not read as the group: a guessed one needs at least 20 groups, each of at most 20% of the "
        f"documents, and it has {found}; name it with --group to use it"
    )
    named = read_corpus(source, SourceSpec(label="", group="author"))
    assert [document.group or "" for document in named.documents] == authors


def test_a_single_guess_is_reported_too(tmp_path: Path) -> None:
    assert note_of(tmp_path, {"a": "a", "class": "x"}, SourceSpec(text=("a",))) == (
        "labels are read from column 'class' (guessed; name it with --label)",
    )


def test_the_plain_name_wins_over_others(tmp_path: Path) -> None:
    (document,) = read_corpus(
        write(tmp_path, "csv", [{"body": "b", "text": "t", "target": "1", "label": "x"}])
    ).documents
    assert (document.text, document.labels) == ("t", ("x",))


def test_two_columns_that_could_be_the_text_are_both_named(tmp_path: Path) -> None:
    with pytest.raises(
        ColumnMissing, match=r"columns 'body', 'review' could all be the text\. Name one with --text\.$"
    ):
        note_of(tmp_path, {"body": "b", "review": "r"})


def test_without_a_text_the_columns_are_listed(tmp_path: Path) -> None:
    usual = "text, texts, body, content or the like"
    expected = rf"letters\.csv: no column is called {usual}\. Name one with --text: 'no', 'words'\. If the first row is"
    with pytest.raises(ColumnMissing, match=expected):
        note_of(tmp_path, {"no": "1", "words": "a"})


def test_two_columns_that_could_be_the_label_leave_documents_without(tmp_path: Path) -> None:
    notes = note_of(tmp_path, {"text": "a", "topic": "x", "category": "y"})
    assert notes[1:] == ("labels are not read: 'topic', 'category' could all be their column; name one with --label",)


def test_a_column_that_is_named_for_one_thing_is_not_guessed_for_another(tmp_path: Path) -> None:
    columns = SourceSpec(text=("category",), label="author")
    source = write(tmp_path, "csv", [{"category": "a", "topic": "x", "author": "Ada"}])
    (document,) = read_corpus(source, columns).documents
    assert (document.text, document.labels, document.group) == ("a", ("Ada",), None)


def test_a_fold_that_says_neither_train_nor_test_is_ignored_with_a_note(tmp_path: Path) -> None:
    source = write(
        tmp_path, "csv", [{"text": "a", "label": "x", "fold": "train"}, {"text": "b", "label": "x", "fold": "3"}]
    )
    corpus = read_corpus(source)
    assert [document.split for document in corpus.documents] == [None, None]
    assert corpus.notes[-1] == "column 'fold' is not read as the split: it holds '3', not train and test"


def test_a_column_called_split_is_taken_at_its_word(tmp_path: Path) -> None:
    (document,) = read_corpus(write(tmp_path, "csv", [{"text": "a", "split": "holdout"}])).documents
    assert document.split == "holdout"


def test_a_guess_is_declined_by_an_empty_name(tmp_path: Path) -> None:
    row = {"text": "a", "label": "x", "group": "g", "split": "s", "id": "u"}
    declined = SourceSpec(text=("text",), label="", group="", split="", id="")
    corpus = read_corpus(write(tmp_path, "csv", [row]), declined)
    (document,) = corpus.documents
    assert (document.id, document.labels, document.group, document.split) == ("1", None, None, None)
    assert corpus.spec == declined


def test_only_what_the_user_declined_is_remembered_as_declined(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text("text,split\na,no split\n")
    spec = read_corpus(str(tmp_path)).spec
    assert (spec.label, spec.id, spec.split, spec.group) == (None, None, None, None)
