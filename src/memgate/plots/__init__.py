"""One figure from one table, a file each.

Figures are `matplotlib.figure.Figure` objects on the Agg canvas: no pyplot, no display, no global
state. They are 10 inches wide and meant to be read at 1,000 pixels.
"""

from memgate.plots.accuracy import accuracy_figure
from memgate.plots.carriers import carriers_figure
from memgate.plots.gates import gate_figure
from memgate.plots.interventions import intervention_figure
from memgate.plots.memory import gradient_figure, timescale_figure
from memgate.plots.png import save
from memgate.plots.profile import profile_figure
from memgate.plots.suites import suite_figure

__all__ = [
    "accuracy_figure",
    "carriers_figure",
    "gate_figure",
    "gradient_figure",
    "intervention_figure",
    "profile_figure",
    "save",
    "suite_figure",
    "timescale_figure",
]
