"""Tools for testing heads, also those of other packages."""

from typing import Any

from heads.core.hyperparameters import hyperparameters_of
from heads.training.config import Training

__all__ = ["training_of"]


def training_of(**hyperparameters: Any) -> Training:
    """A Training with hyperparameters by their short names, as in `training_of(lr=0.01, patience=2)`."""
    names = {item.short_name: item.name for item in hyperparameters_of(Training)}
    return Training().set_params(**{names[name]: value for name, value in hyperparameters.items()})
