"""The docs hold: links lead somewhere, the README is short, and the tutorial runs as it is typed."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run

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


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= README_WORDS


@pytest.mark.slow
def test_the_tutorial_runs_as_it_is_typed(embedonce: Run, tmp_path: Path) -> None:
    shutil.copy(DOCS / "tutorial" / "tickets.csv", tmp_path)
    shutil.copy(DOCS / "tutorial" / "new.csv", tmp_path)
    page = (DOCS / "tutorial" / "first-report.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    embedonce (.+)$", page, re.MULTILINE)
    assert len(commands) >= 7
    for command in commands:
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
    notebook.cells.insert(0, nbformat.v4.new_code_cell(f"import sys; sys.path.insert(0, {str(ROOT)!r})"))
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output for output in shown if output.output_type == "error"] == []
    assert any("<table>" in output.get("data", {}).get("text/html", "") for output in shown)
