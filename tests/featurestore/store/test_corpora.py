"""A corpus's table: what is written comes back, and what a person's edit broke is named by its line."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import CallError, StoreDamaged, UnknownName
from data.taxonomy import Taxonomy
from featurestore import CorpusTable, text_key
from featurestore.storage.local import LocalStorage
from featurestore.store.corpora import list_names, load, save

SINGLE = CorpusTable(
    name="made",
    source="made.csv",
    kind="single",
    taxonomy=None,
    ids=["a", "b", "c"],
    keys=[text_key(text) for text in "abc"],
    splits=["train", "test", None],
    groups=[None, "ann", "ben"],
    labels=[("x, y",), None, ('"z"',)],
    notes=("Column 'body' was taken for the text.",),
)
WORDS = st.text(min_size=1, max_size=8)


def lines(folder: Path) -> list[str]:
    return (folder / "made.csv").read_text(encoding="utf-8").splitlines()


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(WORDS, st.none() | WORDS, st.none() | WORDS, st.none() | st.lists(WORDS, max_size=3)), max_size=5
    ),
    st.sampled_from(["single", "multilabel"]),
)
def test_a_table_comes_back_whatever_characters_it_holds(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str | None, str | None, list[str] | None]],
    kind: str,
) -> None:
    made = CorpusTable(
        name="made",
        source="weird \udcff.csv",
        kind="multilabel" if kind == "multilabel" else "single",
        taxonomy=None,
        ids=[row[0] for row in rows],
        keys=[text_key(row[0]) for row in rows],
        splits=[row[1] for row in rows],
        groups=[row[2] for row in rows],
        labels=[
            None if row[3] is None else tuple(row[3]) if kind == "multilabel" else tuple(row[3][:1]) or None
            for row in rows
        ],
    )
    folder = tmp_path_factory.mktemp("corpora")
    save(made, LocalStorage(folder))
    assert load("made", LocalStorage(folder)) == made


def test_a_taxonomy_and_notes_come_back(tmp_path: Path) -> None:
    tree = Taxonomy.from_separator(["rec/sport", "sci/space"], "/")
    made = CorpusTable(
        "made", "made.csv", "path", tree, ["a"], [text_key("a")], [None], [None], [("rec/sport",)], ("A note.",)
    )
    save(made, LocalStorage(tmp_path / "corpora"))
    assert load("made", LocalStorage(tmp_path / "corpora")) == made and list_names(
        LocalStorage(tmp_path / "corpora")
    ) == ["made"]


def test_the_table_is_a_csv_file_that_a_person_can_edit(tmp_path: Path) -> None:
    save(SINGLE, LocalStorage(tmp_path))
    assert lines(tmp_path)[:3] == [
        "id,key,split,group,label",
        f'a,{text_key("a")},train,,"x, y"',
        f"b,{text_key('b')},test,ann,",
    ]


def test_an_edit_is_read_with_a_byte_order_mark_and_other_line_ends(tmp_path: Path) -> None:
    save(SINGLE, LocalStorage(tmp_path))
    edited = "\ufeff" + "\n".join(lines(tmp_path)).replace("ann,", "ann,new label")
    (tmp_path / "made.csv").write_text(edited, encoding="utf-8", newline="")
    assert load("made", LocalStorage(tmp_path)).labels == [("x, y",), ("new label",), ('"z"',)]


@pytest.mark.parametrize(
    ("line", "text", "fault"),
    [
        (1, "id,key,label", "the columns are id, key, label, not id, key, split, group, label"),
        (1, "", "the columns are , not id, key, split, group, label"),
        (3, f"b,{text_key('b')},test", "3 cells, but 5 are expected"),
        (3, "b,1.2E+45,test,ann,", "'1.2E+45' is not a key of 64 hex digits"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: int, text: str, fault: str) -> None:
    save(SINGLE, LocalStorage(tmp_path))
    kept = lines(tmp_path)
    kept[line - 1] = text
    (tmp_path / "made.csv").write_text("\n".join(kept), encoding="utf-8")
    with pytest.raises(StoreDamaged) as broken:
        load("made", LocalStorage(tmp_path))
    assert str(broken.value) == (
        f"{tmp_path / 'made.csv'}, line {line}: {fault}. Correct it, or run `embedonce embed` again."
    )


def many_rows(rows: int) -> CorpusTable:
    ids = [f"d{row}" for row in range(rows)]
    blank = [None] * rows
    return replace(SINGLE, ids=ids, keys=list(map(text_key, ids)), splits=blank, groups=blank, labels=blank)


def test_a_broken_row_of_many_is_named_by_its_line_though_a_cell_before_it_spans_lines(tmp_path: Path) -> None:
    save(many_rows(300), LocalStorage(tmp_path))
    kept = lines(tmp_path)
    kept[100], kept[250] = kept[100].replace("d99", '"d\n99"', 1), kept[250] + ","
    (tmp_path / "made.csv").write_text("\n".join(kept), encoding="utf-8")
    with pytest.raises(StoreDamaged, match=r"line 252: 6 cells, but 5 are expected"):
        load("made", LocalStorage(tmp_path))


@given(st.lists(st.sampled_from(["a", 'b"', "c,d", "e\r", "f\n", " g"]), max_size=3), st.integers(0, 2))
def test_rows_are_written_as_the_csv_module_writes_them(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], place: int
) -> None:
    plain = many_rows(200)
    table = replace(plain, ids=[*plain.ids[: place * 64], *ids, *plain.ids[place * 64 + len(ids) :]])
    folder = tmp_path_factory.mktemp("corpora")
    save(table, LocalStorage(folder))
    expected = io.StringIO(newline="")
    rows = zip(table.ids, table.keys, *[[""] * 200] * 3, strict=True)
    csv.writer(expected).writerows([("id", "key", "split", "group", "label"), *rows])
    assert (folder / "made.csv").read_bytes() == expected.getvalue().encode()


@pytest.mark.parametrize("cell", ["x", "{}", "[1]", '["x"', "[" * 100_000])
def test_multilabel_cells_that_are_no_list_are_named(tmp_path: Path, cell: str) -> None:
    save(
        CorpusTable("made", "", "multilabel", None, ["a"], [text_key("a")], [None], [None], [("x",)]),
        LocalStorage(tmp_path),
    )
    text = (tmp_path / "made.csv").read_text().replace('"[""x""]"', '"' + cell.replace('"', '""') + '"')
    (tmp_path / "made.csv").write_text(text)
    with pytest.raises(StoreDamaged, match=r"made\.csv, line 2: "):
        load("made", LocalStorage(tmp_path))


@pytest.mark.parametrize(
    "content", ["", "[]", '{"source": "x"}', '{"source":"","kind":"odd","taxonomy":null,"notes":[]}']
)
def test_a_broken_description_is_damage(tmp_path: Path, content: str) -> None:
    save(SINGLE, LocalStorage(tmp_path))
    (tmp_path / "made.json").write_text(content)
    with pytest.raises(StoreDamaged, match=r"made\.json cannot be read \(.*\)\. Run `embedonce embed` again"):
        load("made", LocalStorage(tmp_path))


def test_a_corpus_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    save(SINGLE, LocalStorage(tmp_path / "corpora"))
    with pytest.raises(UnknownName, match=rf"^{tmp_path.name} has no corpus 'mode'\. Did you mean 'made'\?$"):
        load("mode", LocalStorage(tmp_path / "corpora"))


@pytest.mark.parametrize("name", ["", ".", "..", "../made", ".made", "a/b"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    table = CorpusTable(name, "", "single", None, [], [], [], [], [])
    with pytest.raises(CallError, match="cannot be the name of a file"):
        save(table, LocalStorage(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_new_description_of_the_same_rows_is_read(tmp_path: Path) -> None:
    save(SINGLE, LocalStorage(tmp_path))
    changed = replace(SINGLE, notes=("another note",), source="other.csv")
    save(changed, LocalStorage(tmp_path))
    assert load("made", LocalStorage(tmp_path)) == changed
