"""Predictions and accuracies of a model and its baselines on items and suites."""

from memgate.evaluation.items import accuracy, baseline_accuracy, count_left_out, predictions
from memgate.evaluation.suites.scores import suite_accuracy, suite_predictions

__all__ = [
    "accuracy",
    "baseline_accuracy",
    "count_left_out",
    "predictions",
    "suite_accuracy",
    "suite_predictions",
]
