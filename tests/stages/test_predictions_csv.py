"""The CSV of `predict`: one line end, and no two columns of one name."""

import io

import numpy as np

from stages.fitting.predictions import ProbabilityColumns
from stages.predict import Prediction, write_predictions


def test_a_label_named_prediction_gives_no_second_column_of_that_name() -> None:
    out, shares = io.StringIO(), np.array([0.75, 0.25], dtype=np.float32)
    predictions = [Prediction("7", "prediction", ("prediction",), shares)]
    write_predictions(predictions, ProbabilityColumns(["prediction", "ship"]), out, as_json=False)
    assert out.getvalue() == "id,prediction,probability:prediction,probability:ship\n7,prediction,0.75,0.25\n"
