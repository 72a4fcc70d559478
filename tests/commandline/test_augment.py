"""`embedonce augment` as a person calls it, with a tiny encoder, and `fit-head --augmented`."""

import json
import shlex
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.tiny_encoder import SENTENCES, make_encoder


def _rows(count: int) -> str:
    return "".join(
        f'{number},"{SENTENCES[number % 4]} The number is {number}.",{number % 2},{"train" if number % 5 else "test"}\n'
        for number in range(count)
    )


@pytest.fixture
def store(embedonce: Run, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The options of a store with the corpus `table`."""
    folder = make_encoder(tmp_path_factory.mktemp("encoders") / "tiny")
    rows = _rows(60)
    (tmp_path / "table.csv").write_text(f"id,text,label,split\n{rows}", encoding="utf-8")
    result = embedonce("embed", "table.csv", "--model", folder, "--store", "kept", "--device", "cpu")
    assert result.code == 0, result.err
    return "kept"


def test_copies_are_written_encoded_and_fitted_on(embedonce: Run, store: str, tmp_path: Path) -> None:
    dry = embedonce("augment", "--method", "sentences", "--store", store, "--dry-run", "--device", "cpu")
    assert dry.code == 0 and "Dry run, nothing is written: 48 copies would take" in dry.err
    assert "~sentences-1: The number is" in dry.out and not (tmp_path / "augmented").exists()
    made = embedonce("augment", "table", "--method", "sentences", "--store", store, "--device", "cpu", "--json")
    assert made.code == 0, made.err
    content = json.loads(made.out)
    assert (content["made"], content["name"], content["encoded"]) == (48, "table-sentences", True)
    assert content["labels"]["0"] == {"documents": 24, "copies": 24}
    assert "Fit on them with: embedonce fit-head linear --store kept --corpus table --augmented table-se" in made.err
    fit = ["fit-head", "linear", "--folds", "2", "--store", store]
    without, augmented = embedonce(*fit), embedonce(*fit, "--augmented", "table-sentences")
    assert (without.code, augmented.code) == (0, 0), augmented.err
    assert "48 augmented copies of 48 training documents (table-sentences): fitted on together" in augmented.err
    assert "fitted with augmented copies (48 of table-sentences)" in embedonce("compare").err
    unknown = embedonce(*fit, "--augmented", "table-sentence")
    assert unknown.code == 2 and "Did you mean 'table-sentences'" in unknown.err


def test_a_file_of_ones_own_with_the_ids_of_the_origins_is_as_good(embedonce: Run, store: str, tmp_path: Path) -> None:
    rows = "".join(f'p{number},"Number {number} in other words.",{number}\n' for number in range(1, 30))
    (tmp_path / "paraphrases.csv").write_text(f"id,text,copy_of\n{rows}", encoding="utf-8")
    embedded = embedonce("embed", "paraphrases.csv", "--group", "copy_of", "--store", store, "--device", "cpu")
    assert embedded.code == 0, embedded.err
    run = embedonce("fit-head", "linear", "--folds", "2", "--store", store, "--augmented", "paraphrases")
    assert run.code == 0, run.err
    assert "24 augmented copies of 24 training documents (paraphrases)" in run.err
    assert "Copies of paraphrases that are left out: 5 of a test document." in run.err


def test_without_encoding_the_next_command_is_named(embedonce: Run, store: str) -> None:
    made = embedonce("augment", "--method", "deletion", "--to", "30", "--store", store, "--no-embed")
    assert made.code == 0, made.err
    assert "Encode them with: embedonce embed augmented/table-deletion.jsonl --group copy_of --store kept" in made.err
    assert embedonce("embed", "augmented/table-deletion.jsonl", "--group", "copy_of", "--store", store).code == 0
    refused = embedonce("augment", "--method", "mlm", "--store", store)
    assert refused.code != 0 and "has no head for masked tokens" in refused.err


def test_the_next_command_leaves_documents_without_a_label_out(embedonce: Run, store: str, tmp_path: Path) -> None:
    text = f"id,text,label,split\n{_rows(20)}20,Which one?,,train\n"
    (tmp_path / "gaps.csv").write_text(text, encoding="utf-8")
    assert embedonce("embed", "gaps.csv", "--store", store, "--device", "cpu").code == 0
    made = embedonce("augment", "gaps", "--method", "deletion", "--store", store, "--device", "cpu")
    (command,) = [line for line in made.err.splitlines() if line.startswith("Fit on them with: embedonce ")]
    assert command.endswith("--augmented gaps-deletion --skip-unlabeled")
    fitted = embedonce(*shlex.split(command.partition("embedonce ")[2]), "--folds", "2")
    assert fitted.code == 0, fitted.err
