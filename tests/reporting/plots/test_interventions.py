"""The figure of doses and responses shows the numbers of its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from memgate.errors import InputError
from memgate.reporting.plots import intervention_figure, save

STRATA = {
    "overall": ["all"],
    "intervening": ["0", "3–5", "11+"],
    "attractors": ["0", "1"],
}
TITLES = ["all items", "by words between", "by attractors"]


def responses(draws: int = 2, clamp_values: int = 3) -> pd.DataFrame:
    """A table of random accuracies with the changes that are drawn, and some that are not."""
    rng = np.random.default_rng(0)
    changes: list[tuple[Any, ...]] = [("none", None, None, "all", None)]
    for to in np.linspace(0, 1, clamp_values):
        changes.append(("clamp", "write", to, "chosen", None))
        changes.append(("clamp", "keep", to, "chosen", None))
        changes += [("clamp", "write", to, "random", draw) for draw in range(draws)]
    changes.append(("cut", "recurrent_input", None, "all", None))
    rows = []
    for change in changes:
        for by, strata in STRATA.items():
            for stratum in strata:
                accuracy = rng.uniform(0.3, 1)
                rows.append((*change, by, stratum, 40, accuracy, accuracy - 0.1, accuracy + 0.1))
    columns = ["edit", "quantity", "to", "units", "draw", "by", "stratum", "n"]
    return pd.DataFrame(rows, columns=[*columns, "accuracy", "low", "high"])


def marked(axes: Axes) -> list[Line2D]:
    return [line for line in axes.lines if line.get_marker() != "None"]


def test_each_panel_shows_its_strata_the_random_sets_and_the_network_without_an_edit() -> None:
    table = responses().sample(frac=1, random_state=1)
    axes = intervention_figure(table).axes
    assert [each.get_title(loc="left") for each in axes] == TITLES
    assert {each.get_xlabel() for each in axes} == {"write clamped to"}
    writes = table[(table["edit"] == "clamp") & (table["quantity"] == "write")]
    for each, (by, strata) in zip(axes, STRATA.items(), strict=True):
        lines = marked(each)
        assert len(lines) == 2 * len(strata)
        for stratum, chosen, grey in zip(strata, lines[::2], lines[1::2], strict=True):
            own = writes[(writes["by"] == by) & (writes["stratum"] == stratum)].sort_values("to")
            assert chosen.get_label() == f"{stratum}\nn 40"
            points = own.loc[own["units"] == "chosen", ["to", "accuracy"]]
            np.testing.assert_array_equal(chosen.get_xydata(), points)
            drawn = own[own["units"] == "random"]
            mean = [drawn.loc[drawn["to"] == to, "accuracy"].mean() for to in (0.0, 0.5, 1.0)]
            np.testing.assert_allclose(np.asarray(grey.get_ydata()), mean, atol=1e-15)
        plain = table[(table["edit"] == "none") & (table["by"] == by)].set_index("stratum")
        flat = [line for line in each.lines if line.get_marker() == "None"]
        heights = [float(np.asarray(line.get_ydata())[0]) for line in flat]
        assert heights == [0.5, *plain.loc[strata, "accuracy"]]


def test_nothing_drawn_lies_outside_the_panel() -> None:
    table = responses()
    axes = intervention_figure(table).axes[0]
    bottom, top = axes.get_ylim()
    drawn = table[(table["edit"] == "none") | (table["quantity"] == "write")]
    assert bottom < drawn["accuracy"].min()
    assert top > 1


def test_the_note_says_what_is_grey_only_if_anything_is() -> None:
    for draws in (0, 2):
        figure = intervention_figure(responses(draws))
        notes = [text.get_text() for text in figure.texts]
        assert any(f"{draws} sets" in note for note in notes) == bool(draws)


def test_an_rnn_gets_a_figure_that_says_it_has_no_gates(tmp_path: Path) -> None:
    table = responses()
    figure = intervention_figure(table[table["edit"] != "clamp"])
    assert [text.get_text()[:19] for text in figure.texts] == ["An RNN has no gates"]
    save(figure, tmp_path / "interventions.png")
    assert (tmp_path / "interventions.png").read_bytes().startswith(b"\x89PNG")


def test_tables_that_can_not_be_drawn_are_refused() -> None:
    with pytest.raises(InputError, match="intervention table: expected a column 'draw', got"):
        intervention_figure(responses().drop(columns="draw"))
    table = responses()
    with pytest.raises(InputError, match="expected rows without an edit, got none"):
        intervention_figure(table[table["edit"] != "none"])
