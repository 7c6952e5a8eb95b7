"""One figure from one table, a file each.

Figures are `matplotlib.figure.Figure` objects on the Agg canvas: no pyplot, no display, no global
state. They are 10 inches wide and meant to be read at 1,000 pixels.
"""

from memgate.reporting.plots.accuracy import accuracy_figure
from memgate.reporting.plots.canvas import save
from memgate.reporting.plots.gates import gate_figure
from memgate.reporting.plots.interventions import intervention_figure
from memgate.reporting.plots.memory import gradient_figure, timescale_figure
from memgate.reporting.plots.number_units import number_units_figure
from memgate.reporting.plots.profile import profile_figure
from memgate.reporting.plots.suites import suite_figure

__all__ = [
    "accuracy_figure",
    "gate_figure",
    "gradient_figure",
    "intervention_figure",
    "number_units_figure",
    "profile_figure",
    "save",
    "suite_figure",
    "timescale_figure",
]
