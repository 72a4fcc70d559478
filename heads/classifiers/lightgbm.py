"""Gradient-boosted trees on pooled features, by the LightGBM library.

This module is `heads.classifiers.lightgbm`; `import lightgbm` inside it imports the library, because imports are
absolute.
"""

import io
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from data.errors import ExtraMissing, RunDamaged
from data.ranges import MAX_COUNT
from featurestore import Bags
from heads.core.class_weights import ClassWeight
from heads.core.head import Examples
from heads.core.hyperparameters import Help, Range, Search
from heads.core.pooled_head import PooledHead, constant_logits
from heads.core.saving import read_arrays, write_arrays

__all__ = ["LightGBMHead"]

CONSTANTS = "constants.safetensors"
ROWS = 8192  # documents that are read at a time
BINNED = 20_000  # documents that the bounds of the bins are taken from
# a tree reads this many documents, and this many of the rarest label. With 24,000 made-up documents of 20 labels and 60
# rounds, the accuracy on others was 0.38 with trees on all documents, 0.39 on a quarter, 0.38 on an eighth; with 60,000
# and 100 rounds 0.57 with 10,000 documents per tree, 0.56 with 20,000, which took 1.5 times as long. Rare labels need
# more: on Reuters-52, out of fold, trees on half of the documents had a macro-F1 of 0.55, trees on all 0.59
TREE_DOCUMENTS, TREE_PER_LABEL = 10_000, 300


@dataclass(eq=False, repr=False, kw_only=True)
class LightGBMHead(PooledHead):
    """Gradient boosting of small trees (Ke et al. 2017) on pooled features; one booster per label if multi-label.

    The cost grows with rounds x labels x features. With the defaults, 52 labels take about a minute on two cores: each
    tree is cheap, because it uses a fraction of the features, in 63 bins each, and has few leaves. Of many documents, a
    tree reads a random sample (Friedman 2002, Stochastic gradient boosting), so that its cost stays the same. Each
    feature is read once, to find its bin: no copy of all features is made.
    """

    name: ClassVar[str] = "lightgbm"
    uses_tabular: ClassVar[bool] = True

    rounds: Annotated[int, Range(1), Help("number of trees per label"), Search(50, 200, log=True)] = 100
    learning_rate: Annotated[
        float, Range(above=0), Help("shrinkage of each tree's contribution"), Search(0.03, 0.3, log=True)
    ] = 0.1
    leaves: Annotated[int, Range(2, 131072), Help("maximum number of leaves per tree"), Search(4, 32, log=True)] = 8
    leaf_documents: Annotated[
        int, Range(1, MAX_COUNT), Help("minimum number of documents per leaf"), Search(1, 30, log=True)
    ] = 5
    features: Annotated[
        float, Range(above=0, high=1), Help("fraction of the features that each tree uses"), Search(0.1, 0.6)
    ] = 0.25
    l2: Annotated[
        float,
        Range(0),
        # without it, trees of labels with few documents diverge: out-of-fold accuracy 0.43, not 0.92, on Reuters-52
        Help("L2 penalty on leaf values"),
        Search(1, 100, log=True),
    ] = 10.0
    class_weight: ClassWeight = "effective"

    def _fit(self, examples: Examples) -> None:
        labels = len(self.classes_)
        parameters = self._parameters(2 if examples.multilabel else labels)
        dataset = self._bin_features(examples.bags, parameters)
        if examples.multilabel:
            self.constants_ = constant_logits(examples.y, examples.sample_weight)
            self.boosters_ = {
                column: _fit_booster(dataset, parameters, present, examples.loss_weight[:, column], self.rounds)
                for column, present in enumerate(examples.y.T)
                if present.any() and not present.all()
            }
        else:
            self.constants_ = np.zeros(labels)
            weight = examples.loss_weight
            self.boosters_ = {0: _fit_booster(dataset, parameters, examples.y, weight, self.rounds)}
        self.parameter_count_ = sum(_parameter_count(booster) for booster in self.boosters_.values())

    def _bin_features(self, bags: Bags, parameters: dict[str, Any]) -> Any:
        """LightGBM's data set of the features, in bins: a byte per value, shared by the boosters of all labels."""
        library = _import_library()
        rows = _make_sequence(library, lambda key: self._features(bags[key]), len(bags))
        with redirect_stdout(io.StringIO()):  # it prints that BINNED is small, whatever the verbosity
            return library.Dataset(rows, params=parameters, free_raw_data=False).construct()

    def _parameters(self, classes: int) -> dict[str, Any]:
        return {
            "objective": "binary" if classes == 2 else "multiclass",
            "num_class": 1 if classes == 2 else classes,
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.leaf_documents,
            "feature_fraction": self.features,
            "lambda_l2": self.l2,
            "max_bin": 63,
            "bin_construct_sample_cnt": BINNED,
            "seed": self.seed % 2**31,  # an int of 32 bits there
            # without these two, rounding depends on the number of threads and on timing
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }

    def _decision_function(self, bags: Bags) -> NDArray[np.float64]:
        features = self._features(bags)
        raw = {key: np.asarray(booster.predict(features, raw_score=True)) for key, booster in self.boosters_.items()}
        if not self.multilabel_:
            return np.stack([-raw[0] / 2, raw[0] / 2], axis=1) if raw[0].ndim == 1 else raw[0]
        scores = np.tile(self.constants_, (len(features), 1))
        for column, values in raw.items():
            scores[:, column] = values
        return scores

    def _save(self, folder: Path) -> None:
        boosted = np.isin(np.arange(len(self.classes_)), list(self.boosters_))
        write_arrays(folder / CONSTANTS, {"constants": self.constants_, "boosted": boosted})
        for key, booster in self.boosters_.items():
            (folder / f"booster-{key}.txt").write_text(booster.model_to_string(), encoding="utf-8")

    def _load(self, folder: Path) -> None:
        labels = len(self.classes_)
        arrays = read_arrays(folder / CONSTANTS, {"constants": (labels,), "boosted": (labels,)})
        self.constants_ = arrays["constants"]
        outputs = 1 if self.multilabel_ or labels == 2 else labels
        self.boosters_ = {
            int(key): _read_booster(folder / f"booster-{key}.txt", (self._width, outputs))
            for key in np.flatnonzero(arrays["boosted"])
        }


def _make_sequence(library: Any, read: Callable[[Any], NDArray[np.float32]], documents: int) -> Any:
    """Documents as LightGBM reads them: first a sample one by one, in order, then all in blocks, as float64."""

    @lru_cache(maxsize=1)
    def read_block(first: int) -> NDArray[np.float32]:
        return read(slice(first, first + ROWS))

    class Rows(library.Sequence):
        batch_size = ROWS

        def __getitem__(self, key: Any) -> NDArray[np.float64]:
            if isinstance(key, slice) or np.ndim(key):
                return read(key).astype(np.float64)
            first = key - key % ROWS
            return np.asarray(read_block(first)[key - first], dtype=np.float64)

        def __len__(self) -> int:
            return documents

    return Rows()


def _fit_booster(dataset: Any, parameters: dict[str, Any], y: NDArray[Any], weight: NDArray[Any], rounds: int) -> Any:
    dataset.set_label(y.astype(np.float32)).set_weight(weight)
    fraction = _tree_fraction(np.unique(y, return_counts=True)[1])
    bagging = {"bagging_fraction": fraction, "bagging_freq": int(fraction < 1)}
    return _import_library().train({**parameters, **bagging}, dataset, num_boost_round=rounds).free_dataset()


def _tree_fraction(counts: NDArray[np.int64]) -> float:
    """The fraction of the documents that a tree reads. counts: the documents of each label."""
    return float(min(1.0, max(TREE_DOCUMENTS / counts.sum(), TREE_PER_LABEL / counts.min())))


def _read_booster(path: Path, shape: tuple[int, int]) -> Any:
    """A booster with `shape` = (features, outputs). The hash was checked: LightGBM crashes on some damaged files."""
    if not path.is_file():
        raise RunDamaged(f"{path} is missing. Remove the run and fit again.")
    booster = _import_library().Booster(model_str=path.read_text(encoding="utf-8"))
    if (booster.num_feature(), booster.num_model_per_iteration()) != shape:
        raise RunDamaged(f"{path} has other features or labels than the run. Remove the run and fit again.")
    return booster


def _parameter_count(booster: Any) -> int:
    """The number of leaf values and thresholds: a tree of n leaves has n and n - 1."""
    return sum(2 * int(leaves) - 1 for leaves in re.findall(r"^num_leaves=(\d+)$", booster.model_to_string(), re.M))


def _import_library() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise ExtraMissing(
            "The head lightgbm needs the library LightGBM. Install it with pip install 'embedonce[lightgbm]', or use "
            "another head."
        ) from error
    return lightgbm
