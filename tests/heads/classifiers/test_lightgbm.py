"""The lightgbm head."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from data.errors import ExtraMissing, RunDamaged
from featurestore import Bags
from heads.classifiers import lightgbm as module
from heads.classifiers.lightgbm import LightGBMHead
from heads.planted_signals import mean_signal, multilabel_signal
from heads.testing import HeadContract

ROOT = Path(__file__).resolve().parents[3]
BY_COUNTS = "trees count documents, not weights, for bin boundaries and leaf sizes"
BY_DRAWS = "the trees of all labels draw their features from one stream of random numbers, in the order of columns"


class TestLightGBMKeepsTheContract(HeadContract):
    head = LightGBMHead(rounds=20, learning_rate=0.2, leaves=4, leaf_documents=10, l2=1.0, features=0.5)
    exceptions: ClassVar = {"weight_two": BY_COUNTS, "renamed_labels": BY_DRAWS}


def test_it_learns_a_problem_that_is_not_linearly_separable() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)).astype(np.float32)
    y = np.where(X[:, 0] * X[:, 1] > 0, "same", "different")
    assert LightGBMHead(features=1.0).fit(X[:200], y[:200]).score(X[200:], y[200:]) > 0.85


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    planted = mean_signal(documents=20)
    head = LightGBMHead(rounds=2).fit(planted.bags, planted.y)
    head.save(tmp_path)
    LightGBMHead.load(tmp_path).predict(planted.bags)
    assert capfd.readouterr() == ("", "")


def test_a_class_weight_of_hundreds_keeps_the_scores_stable() -> None:
    planted = mean_signal(documents=600)
    lonely = planted.y.copy()
    lonely[0] = "lonely"  # weighs 600 / 4, as much as all documents of another label
    head = LightGBMHead(features=0.5).fit(planted.bags, lonely)
    assert head.score(planted.bags, planted.y) > 0.95


def test_its_parameter_count_is_that_of_leaf_values_and_thresholds() -> None:
    X, y = np.array([[0.0], [1.0]] * 50, dtype=np.float32), ["a", "b"] * 50
    # one split and two leaves in each of three trees
    assert LightGBMHead(rounds=3, features=1.0).fit(X, y).parameter_count_ == 3 * 3


def test_the_saved_model_is_a_lightgbm_text_file(tmp_path: Path) -> None:
    planted = multilabel_signal()
    LightGBMHead(rounds=2).fit(planted.bags, planted.y).save(tmp_path)
    files = sorted(path.name for path in tmp_path.glob("booster*"))
    assert files == ["booster-0.txt", "booster-1.txt", "booster-2.txt"]
    assert (tmp_path / files[0]).read_text(encoding="utf-8").startswith("tree\nversion=")


def test_a_missing_booster_is_reported(tmp_path: Path) -> None:
    planted = mean_signal(documents=30)
    LightGBMHead(rounds=1).fit(planted.bags, planted.y).save(tmp_path)
    (tmp_path / "booster-0.txt").unlink()
    with pytest.raises(RunDamaged, match=r"booster-0\.txt is missing"):
        LightGBMHead.load(tmp_path)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = mean_signal(documents=30)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'embedonce\[lightgbm\]'"):
        LightGBMHead().fit(planted.bags, planted.y)


def test_features_are_read_in_blocks_and_binned_as_those_of_one_array(monkeypatch: pytest.MonkeyPatch) -> None:
    planted, sizes, pool = mean_signal(documents=60), list[int](), Bags.pooled
    whole = LightGBMHead(rounds=2).fit(planted.bags, planted.y).decision_function(planted.bags)
    monkeypatch.setattr(module, "ROWS", 16)

    def watch(bags: Bags, names: Sequence[str]) -> NDArray[np.float32]:
        sizes.append(len(bags))
        return pool(bags, names)

    monkeypatch.setattr(Bags, "pooled", watch)
    head = LightGBMHead(rounds=2).fit(planted.bags, planted.y)
    assert max(sizes) <= 16 < len(planted.bags)
    assert min(sizes) > 1, "documents are pooled one by one"
    np.testing.assert_array_equal(head.decision_function(planted.bags), whole)


@pytest.mark.parametrize(
    ("counts", "fraction"), [([2_500] * 4, 1.0), ([20_000, 20_000], 0.25), ([79_400, 600], 0.5), ([99_800, 200], 1.0)]
)
def test_a_tree_of_many_documents_reads_a_sample_with_enough_of_each_label(counts: list[int], fraction: float) -> None:
    assert module._tree_fraction(np.array(counts)) == fraction


def test_trees_on_samples_learn_the_planted_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TREE_DOCUMENTS", 200)
    monkeypatch.setattr(module, "TREE_PER_LABEL", 50)
    planted = mean_signal(documents=600)
    assert LightGBMHead(features=0.5).fit(planted.bags, planted.y).score(planted.bags, planted.y) > 0.95


def test_the_library_prints_nothing_about_the_sample_that_chooses_bins() -> None:
    script = (
        "from heads.classifiers import lightgbm\n"
        "from heads.planted_signals import mean_signal\n"
        "lightgbm.BINNED, planted = 60, mean_signal(documents=600)\n"
        "lightgbm.LightGBMHead(rounds=1).fit(planted.bags, planted.y)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ""
