"""The contract of heads finds what it is meant to find."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from heads.classifiers.prototype import PrototypeHead
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


def test_hyperparameters_of_a_training_go_by_their_short_names() -> None:
    values = training_of(lr=0.5, patience=2, loss="focal").get_params()
    assert (values["optimization__lr"], values["stopping__patience"]) == (0.5, 2)
    assert values["imbalance__loss"] == "focal"
