"""A template makes one text of several cells."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import CallError, ColumnMissing
from data.readers import read_corpus
from data.readers.in_memory import read_in_memory
from data.readers.text_template import TextTemplate
from data.source_spec import SourceSpec
from tests.data.tables import WRITERS, Rows, write

MAIL = "From {name}\nSubject: {subject}\n\n{body}"


def fill(template: str, **cells: str) -> str:
    return TextTemplate.of(SourceSpec(template=template)).fill(cells)


def test_cells_take_the_places_of_their_columns() -> None:
    assert fill("{a}, {b}: {a}!", a="x", b="y") == "x, y: x!"


def test_braces_are_doubled() -> None:
    assert fill("{{{a}}} {{b}}", a="x") == "{x} {b}"


def test_a_line_whose_columns_are_blank_is_dropped_with_its_words() -> None:
    assert fill(MAIL, name="Ada", subject=" ", body="Hello") == "From Ada\n\nHello"


def test_a_line_with_one_filled_column_is_kept() -> None:
    assert fill("{first} {last}\n{body}", first="", last="Byron", body="") == " Byron"


def test_a_text_of_blank_columns_is_empty() -> None:
    assert fill(MAIL, name="", subject=" ", body="\n") == ""


def test_lines_within_a_cell_are_not_lines_of_the_template() -> None:
    assert fill("{a}\n{b}", a="1\n\n2", b="3") == "1\n\n2\n3"


@given(st.lists(st.text(min_size=1).filter(lambda name: not {*name} & {*"{}"}), min_size=1, unique=True), st.data())
def test_columns_alone_are_a_template_of_lines(names: list[str], data: st.DataObject) -> None:
    cells = {name: data.draw(st.text()) for name in names}
    template = "\n".join(f"{{{name}}}" for name in names)
    assert fill(template, **cells) == TextTemplate.of(SourceSpec(text=tuple(names))).fill(cells)


@given(st.text())
def test_literal_text_is_kept_as_it_is(text: str) -> None:
    assert fill(text.replace("{", "{{").replace("}", "}}") + "{a}", a="x") == text + "x"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{a} {b", r"a single '{' as character 5\. Write a column as \{name\}, and a brace as {{\.$"),
        ("a}", r"a single '}' as character 2\."),
        ("{}", r"a single '{' as character 1\."),
        ("subject", r"names no column\. Write names in braces, as in"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(template: str, message: str) -> None:
    with pytest.raises(CallError, match=message):
        TextTemplate.of(SourceSpec(template=template))


def test_columns_that_the_template_does_not_have_are_refused() -> None:
    with pytest.raises(CallError, match=r"has the columns 'a', but the text is to be read from 'a', 'b'\."):
        TextTemplate.of(SourceSpec(text=("a", "b"), template="{a}"))


@pytest.mark.parametrize("ending", list(WRITERS))
def test_every_format_is_read_by_a_template(ending: str, tmp_path: Any) -> None:
    rows: Rows = [{"subject": "Fire", "n": 3, "label": "x"}, {"subject": "", "n": 4, "label": "y"}]
    corpus = read_corpus(write(tmp_path, ending, rows), SourceSpec(template="Re: {subject}\nNo. {n}"))
    assert [document.text for document in corpus.documents] == ["Re: Fire\nNo. 3", "No. 4"]
    assert (corpus.spec.text, corpus.spec.template) == (("subject", "n"), "Re: {subject}\nNo. {n}")
    assert SourceSpec.from_json(corpus.spec.to_json()) == corpus.spec


def test_a_column_that_a_template_uses_has_no_other_role(tmp_path: Any) -> None:
    corpus = read_corpus(write(tmp_path, "csv", [{"topic": "a", "text": "b"}]), SourceSpec(template="{topic}: {text}"))
    assert corpus.documents[0].text == "a: b"
    assert corpus.documents[0].labels is None


def test_a_misspelt_column_of_a_template_is_named_with_its_nearest(tmp_path: Any) -> None:
    with pytest.raises(ColumnMissing, match=r"has no column 'subjet'\. Did you mean 'subject'\?$"):
        read_corpus(write(tmp_path, "csv", [{"subject": "a"}]), SourceSpec(template="{subjet}"))


def test_a_data_frame_is_read_by_a_template() -> None:
    frame = pytest.importorskip("pandas").DataFrame({"subject": ["Fire", None], "n": [3, 4]})
    corpus = read_in_memory(frame, SourceSpec(text=("subject", "n"), template="{subject}\n{n}"))
    assert [document.text for document in corpus.documents] == ["Fire\n3", "4"]


def test_a_list_of_texts_takes_no_template() -> None:
    with pytest.raises(CallError, match="A list of texts has no columns"):
        read_in_memory(["a"], SourceSpec(template="{a}"))
