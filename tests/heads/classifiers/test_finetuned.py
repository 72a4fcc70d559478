"""The layer of a fine-tuned encoder as a head: scores from stored vectors, saving, and what cannot be done with it."""

from pathlib import Path

import numpy as np
import pytest

from data.errors import CallError, UnknownName
from featurestore import Bags, Ragged
from heads.classifiers.finetuned import FinetunedHead
from heads.registry import HEADS, head_class, make_head

WEIGHT = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], np.float32)
BIAS = np.array([0.0, 0.5, -1.0], np.float32)
# the first document has two windows, the second one
BAGS = Bags({"mean": Ragged.from_flat(np.array([[1.0, 0.0], [3.0, 2.0], [0.0, 4.0]], np.float32), [0, 2, 3])})
LABELS = np.array(["b", "a", "c", "a"], dtype=object)


def head(**hyperparameters: str) -> FinetunedHead:
    return FinetunedHead(**hyperparameters).set_layer(LABELS, WEIGHT, BIAS, parameters=123)  # type: ignore[arg-type]


def test_with_the_mean_the_logits_are_those_of_the_mean_window_vector() -> None:
    fitted = head()
    # the mean vectors are (2, 1) and (0, 4)
    assert fitted.decision_function(BAGS).tolist() == [[2.0, 1.5, 2.0], [0.0, 4.5, 3.0]]
    assert fitted.classes_.tolist() == ["a", "b", "c"]
    assert fitted.predict(BAGS).tolist() == ["a", "b"]
    assert fitted.parameter_count_ == 123


def test_with_the_maximum_each_label_has_its_best_window() -> None:
    assert head(pooling="max").decision_function(BAGS).tolist() == [[3.0, 2.5, 4.0], [0.0, 4.5, 3.0]]


def test_a_document_without_windows_has_the_scores_of_a_zero_vector() -> None:
    empty = Bags({"mean": Ragged.from_flat(np.zeros((0, 2), np.float32), [0, 0])})
    for pooling in ("mean", "max"):
        assert head(pooling=pooling).decision_function(empty).tolist() == [BIAS.tolist()]


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_it_is_the_same_after_saving(tmp_path: Path, pooling: str) -> None:
    fitted = head(pooling=pooling)
    fitted.save(tmp_path)
    loaded = head_class("finetuned").load(tmp_path)
    assert loaded.decision_function(BAGS).tolist() == fitted.decision_function(BAGS).tolist()
    assert loaded.reads == ("mean",)


def test_a_multilabel_layer_has_one_column_per_label() -> None:
    y = np.array([[1, 0, 1], [0, 0, 0]], dtype=bool)
    fitted = FinetunedHead().set_layer(y, WEIGHT, BIAS, parameters=9)
    assert fitted.multilabel_
    assert fitted.predict(BAGS).tolist() == [[True, True, True], [False, True, True]]


def test_only_finetune_makes_it() -> None:
    assert "finetuned" not in HEADS
    with pytest.raises(CallError, match="Use `embedonce finetune`"):
        make_head("finetuned", {}).fit(np.eye(4), ["a", "b", "a", "b"])
    with pytest.raises(UnknownName) as error:
        make_head("finetune", {})
    assert "finetuned" not in str(error.value).partition("'finetune'")[2]
