"""The folder of encoders: names, atomic saving, and damaged records."""

from pathlib import Path

import pytest

from data.errors import CallError, ModelUnavailable
from featurestore import TRAINING_FILE, EncoderTraining
from stages.embed.model_files.saved_encoders import (
    check_new_name,
    find_saved_encoder,
    list_encoders,
    read_training,
    save_encoder,
)

RECORD = EncoderTraining(base="some-encoder")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EMBEDONCE_ENCODERS", raising=False)


def save(name: str) -> None:
    with save_encoder(name, RECORD) as folder:
        (folder / "config.json").write_text("{}")


def test_a_saved_encoder_is_found_by_its_name() -> None:
    save("news")
    assert find_saved_encoder("news") == Path("encoders/news") and read_training(Path("encoders/news")) == RECORD
    assert find_saved_encoder("../encoders/news") is None
    assert [encoder.name for encoder in list_encoders()] == ["news"]


def test_an_error_while_saving_leaves_nothing() -> None:
    with pytest.raises(KeyError), save_encoder("news", RECORD) as folder:
        (folder / "config.json").write_text("{}")
        raise KeyError
    assert list(Path("encoders").iterdir()) == []


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "-x", "a b"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(CallError, match="cannot be called"):
        check_new_name(name)


def test_a_name_that_is_in_use_is_refused() -> None:
    save("news")
    Path("local").mkdir()
    with pytest.raises(CallError, match="exists already"):
        check_new_name("news")
    with pytest.raises(CallError, match="would read it"):
        check_new_name("local")
    check_new_name("new.name-2")


def test_a_damaged_record_is_an_error_and_not_no_record() -> None:
    save("news")
    Path("encoders/news", TRAINING_FILE).write_text("{")
    with pytest.raises(ModelUnavailable, match="Make the encoder again"):
        read_training(Path("encoders/news"))
    assert list_encoders()[0].training is None
