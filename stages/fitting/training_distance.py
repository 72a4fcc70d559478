"""The file in a decided run that tells how far a document is from those of training: four arrays, without pickle."""

from collections.abc import Mapping
from pathlib import Path

from heads.core.saving import read_arrays, row_count, write_arrays
from heads.evaluation.decisions.novelty import TrainingDistance

__all__ = ["TRAINING_DISTANCE", "load_training_distance", "save_training_distance"]

TRAINING_DISTANCE = "training_distance.safetensors"


def save_training_distance(folder: Path, distance: TrainingDistance) -> None:
    """Write the file into the folder of a run."""
    write_arrays(folder / TRAINING_DISTANCE, distance.arrays)


def load_training_distance(path: Path) -> TrainingDistance:
    """The distance in the file. Raises RunDamaged if it cannot be read or its shapes contradict each other."""
    labels, dims = row_count(path, "centers"), row_count(path, "mean")
    shapes: Mapping[str, tuple[int, ...]] = {
        "mean": (dims,),
        "centers": (labels, dims),
        "within": (dims, dims),
        "overall": (dims, dims),
    }
    return TrainingDistance(**read_arrays(path, shapes))
