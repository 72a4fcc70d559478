"""The contract of heads finds what it is meant to find."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore import Bags
from heads.classifiers.prototype import PrototypeHead
from heads.core.head import Examples
from heads.core.saving import read_arrays, write_arrays
from heads.testing import HeadContract, training_of


class ScalarHead(PrototypeHead):
    """A prototype head that saves its factor as an array of shape ()."""

    name: ClassVar[str] = "scalar"

    def _save(self, folder: Path) -> None:
        super()._save(folder)
        write_arrays(folder / "scalar.safetensors", {"factor": np.array(self.factor_)})

    def _load(self, folder: Path) -> None:
        super()._load(folder)
        self.factor_ = float(read_arrays(folder / "scalar.safetensors", {"factor": ()})["factor"])


class TestAHeadWithAScalarArrayKeepsTheContract(HeadContract):
    head = ScalarHead()


class ForgetfulHead(PrototypeHead):
    """A head that loads another factor than it saved."""

    name: ClassVar[str] = "forgetful"

    def _load(self, folder: Path) -> None:
        super()._load(folder)
        self.factor_ *= 2


def test_a_head_that_forgets_a_number_fails_the_contract() -> None:
    class Contract(HeadContract):
        head = ForgetfulHead()

    with pytest.raises(AssertionError):
        Contract().test_a_loaded_head_gives_identical_scores()


class TunedHead(PrototypeHead):
    """A head that sets its own hyperparameter."""

    def _fit(self, examples: Examples) -> None:
        super()._fit(examples)
        self.temperature = 1 / self.factor_


class HesitantHead(PrototypeHead):
    """A head that has no scores for documents without chunks."""

    def _decision_function(self, bags: Bags) -> NDArray[np.float64]:
        has_chunks = bags.view(self.reads[0]).length > 0
        return np.where(has_chunks[:, None], super()._decision_function(bags), np.nan)


class SeedingHead(PrototypeHead):
    """A head that seeds the global generator."""

    def _fit(self, examples: Examples) -> None:
        np.random.seed(self.seed)
        super()._fit(examples)


class StubbornHead(PrototypeHead):
    """A head that keeps what an earlier fit learned."""

    def _fit(self, examples: Examples) -> None:
        earlier = getattr(self, "offset_", 0.0)
        super()._fit(examples)
        self.offset_ = self.offset_ + earlier


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (TunedHead, "test_arguments_are_not_changed"),
        (HesitantHead, "test_a_document_without_chunks_has_finite_scores"),
        (SeedingHead, "test_the_same_seed_gives_the_same_scores"),
        (StubbornHead, "test_a_second_fit_forgets_the_first"),
    ],
)
def test_a_broken_head_fails_the_contract(broken: type[PrototypeHead], test: str) -> None:
    contract = type("Contract", (HeadContract,), {"head": broken()})()
    with pytest.raises(AssertionError):
        getattr(contract, test)()


def test_hyperparameters_of_a_training_go_by_their_short_names() -> None:
    values = training_of(lr=0.5, patience=2, loss="focal").get_params()
    assert (values["optimization__lr"], values["stopping__patience"]) == (0.5, 2)
    assert values["imbalance__loss"] == "focal"
