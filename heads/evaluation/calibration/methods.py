"""The calibrators by name, from the most constrained to the most flexible."""

from collections.abc import Mapping, Sequence
from typing import Any

from heads.evaluation.calibration.calibrators import Calibrator, Sample, TemperatureScaling, Uncalibrated
from heads.evaluation.calibration.isotonic import IsotonicCalibration
from heads.evaluation.calibration.vector_scaling import VectorScaling

__all__ = ["CALIBRATORS", "calibrator_from_json", "fit_chain"]

CALIBRATORS: Mapping[str, type[Calibrator]] = {
    calibrator.method: calibrator
    for calibrator in (Uncalibrated, TemperatureScaling, VectorScaling, IsotonicCalibration)
}


def fit_chain(methods: Sequence[str], sample: Sample) -> list[Calibrator]:
    """The calibrator of each method, each fitted on top of the one before."""
    chain: list[Calibrator] = []
    for method in methods:
        chain.append(CALIBRATORS[method].fit(sample, chain[-1] if chain else None))
    return chain


def calibrator_from_json(content: Mapping[str, Any]) -> Calibrator:
    """The calibrator that `to_json` returned. Raises ValueError for any other content."""
    values = {name: _to_tuple(value) for name, value in content.items() if name != "method"}
    try:
        return CALIBRATORS[content["method"]](**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the content is not a calibration: {error}") from error


def _to_tuple(value: Any) -> Any:
    return tuple(map(_to_tuple, value)) if isinstance(value, list) else value
