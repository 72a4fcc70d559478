"""The docs hold: links lead somewhere, the README is short, and the tutorial runs as it is typed."""

import json
import re
import shlex
import shutil
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

import cli
from commandline.embed import EmbedOptions
from data.readers import read_corpus
from tests.conftest import Run
from tests.suggested_commands import parse

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
README_WORDS = 700


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def prose_of(page: Path) -> str:
    """A page without its code."""
    return re.sub(r"```.*?```|`[^`\n]*`|^    .*$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose_of(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_linked_from_the_readme_or_from_a_page_of_docs() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in LINK.findall(page.read_text(encoding="utf-8"))
    }
    assert [str(page.relative_to(ROOT)) for page in DOCS.rglob("*") if page.suffix in (".md", ".ipynb")] == [
        str(page.relative_to(ROOT)) for page in DOCS.rglob("*") if page.suffix in (".md", ".ipynb") and page in linked
    ]


def code_lines_of(page: Path) -> list[str]:
    """The lines of code blocks; continued ones are joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = [*re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE), *re.findall(r"^    .*$", text, re.MULTILINE)]
    return [line.strip() for block in blocks for line in block.splitlines()]


def test_every_command_in_a_code_block_is_one_that_the_program_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    others = ("commands.md", "your-own-head.md")  # generated, and heads that are not installed
    lines = [line for page in PAGES if page.name not in others for line in code_lines_of(page)]
    commands = [found[1] for line in lines if (found := re.match(r"(?:\$ |[A-Z_]+=\S+ )*(embedonce .+)", line))]
    assert len(commands) >= 150
    for command in commands:
        words = shlex.split(command, comments=True)
        if "..." not in words:
            parse(shlex.join(takewhile(lambda word: word not in ("|", ">", "&"), words)))


def test_every_benchmark_that_the_docs_name_has_the_options_that_they_give() -> None:
    wrong = []
    for page in PAGES:
        for module, options in re.findall(r"python -m (benchmarks\.\w+)([^`\n|]*)", page.read_text(encoding="utf-8")):
            file = ROOT / f"{module.replace('.', '/')}.py"
            code = file.read_text(encoding="utf-8") if file.exists() else ""
            wrong += [
                (page.name, module, option) for option in re.findall(r" (--[a-z-]+)", options) if option not in code
            ]
            wrong += [] if code else [(page.name, module, "")]
    assert wrong == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= README_WORDS


@pytest.mark.slow
def test_the_tutorial_runs_as_it_is_typed(embedonce: Run, tmp_path: Path) -> None:
    shutil.copy(DOCS / "tutorial" / "tickets.csv", tmp_path)
    shutil.copy(DOCS / "tutorial" / "new.csv", tmp_path)
    page = (DOCS / "tutorial" / "first-report.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    embedonce (.+)$", page, re.MULTILINE)
    assert len(commands) >= 7
    (tmp_path / "embedonce.toml").write_text("[fit-head]\nfolds = 2\n")  # not five
    for command in commands:
        command = command.replace("mlp --set hidden=64", "mlp --set hidden=64 --set epochs=2")
        runs = [run.name for run in (tmp_path / "runs").glob("linear-*")]
        result = embedonce(*shlex.split(command.replace("RUN", runs[0] if runs else "")))
        assert result.code == 0, f"{command}: {result.err}"
    assert "T001" in result.out + result.err
    assert (tmp_path / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    shutil.copy(DOCS / "tutorial" / "tickets.csv", tmp_path)
    notebook: Any = nbformat.read(DOCS / "tutorial" / "notebook.ipynb", as_version=4)
    for cell in notebook.cells:  # not five folds, nor ten epochs
        cell.source = re.sub(r"(fit_head\(.\w+., corpus)", r"\1, folds=2", cell.source.replace("epochs=10", "epochs=1"))
    notebook.cells.insert(0, nbformat.v4.new_code_cell(f"import sys; sys.path.insert(0, {str(ROOT)!r})"))
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output for output in shown if output.output_type == "error"] == []
    assert any("<table>" in output.get("data", {}).get("text/html", "") for output in shown)


def examples_of(page: Path) -> list[tuple[str, list[list[str]], str]]:
    """The examples of a page: the blocks before a command, the command's arguments, and the table that it reads."""
    pieces = re.split(r"^(`embedonce embed .+`)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    tables = [re.match(r"\n\n((?:\|.*\n)+)", after) for after in pieces[2::2]]
    cells = [
        [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in (table[1] if table else "").splitlines()]
        for table in tables
    ]
    return [
        (blocks, rows, command.strip("`"))
        for blocks, command, rows in zip(pieces[0::2], pieces[1::2], cells, strict=False)
    ]


def write_files(blocks: str) -> None:
    """Write the files of fenced blocks with a name, and run those that are Python."""
    for language, name, content in re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", blocks, re.MULTILINE | re.DOTALL):
        if language == "python":
            exec(content, {})
        else:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(content, encoding="utf-8")


EXAMPLES = examples_of(DOCS / "howto" / "your-data.md")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_your_data_is_read_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(EXAMPLES) >= 20
    for blocks, (heading, _, *rows), command in EXAMPLES:
        write_files(blocks)
        context = cli.embedonce.commands["embed"].make_context("embed", shlex.split(command)[2:])
        options = EmbedOptions(**context.params)
        corpus = read_corpus(options.source, options.spec)
        read = [dict(zip(heading, row, strict=True)) for row in rows]
        expected = [
            {
                "split": str(document.split),
                "label": "–"
                if document.labels is None
                else json.dumps(document.labels)
                if corpus.kind == "multilabel"
                else "".join(document.labels),
                "text": document.text.strip(),
            }
            for document in corpus.documents
        ]
        assert read == [{name: row[name] for name in heading} for row in expected], command
