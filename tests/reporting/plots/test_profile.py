"""The figure of a profile shows the numbers of its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.lines import Line2D

from memgate.errors import InputError
from memgate.gates.profile import PROFILE_DTYPES, pooled
from memgate.gates.words import PROFILE_STRATA
from memgate.reporting.plots import profile_figure, save
from memgate.reporting.plots.profile import NUMBER_STYLES, TITLES, VERB


def profile(
    readings: tuple[str, ...] = ("keep", "write", "state_update", "contribution_change", "probe"),
    layers: int = 1,
    units: tuple[str, ...] = ("all", "number units"),
) -> pd.DataFrame:
    """Made-up numbers, other ones in every cell; no word of the role verb."""
    rng = np.random.default_rng(3)
    rows = [
        (layer, reading, each, by, stratum, number, answer, int(rng.integers(2, 90)))
        for layer in range(layers)
        for reading in readings
        for each in units
        for by, stratum in PROFILE_STRATA
        if stratum not in ("verb", "17")
        for number in ("sg", "pl")
        for answer in ("right", "wrong")
    ]
    table = pd.DataFrame(rows, columns=list(PROFILE_DTYPES)[:-3])
    n = len(table)
    table = table.assign(items=table["n"] // 2, mean=rng.random(n), sd=0.1 * rng.random(n))
    return table.astype(PROFILE_DTYPES)


def panels(table: pd.DataFrame) -> dict[str, tuple[Axes, Axes]]:
    """The panels by role and by place of each reading; the last reading may stand alone."""
    axes = profile_figure(table).axes
    by_title = {each.get_title(loc="left"): place for place, each in enumerate(axes)}
    return {
        reading: (axes[by_title[title]], axes[by_title[title] + (1 if reading == "probe" else 2)])
        for reading, title in TITLES.items()
        if title in by_title
    }


def drawn(axes: Axes, color: str, filled: bool) -> list[Line2D]:
    lines = [line for line in axes.lines if line.get_marker() in ("o", "D")]
    return [
        line
        for line in lines
        if same_color(line.get_color(), color)
        and same_color(str(line.get_markerfacecolor()), color if filled else "white")
    ]


@pytest.mark.parametrize("units", ["all", "number units"])
@pytest.mark.parametrize("number", ["sg", "pl"])
def test_points_are_the_means_of_right_and_wrong_answers_together(units: str, number: str) -> None:
    table = profile(layers=2)
    means = pooled(table[table["layer"] == 1], "answer").set_index("stratum")
    _, color, _ = NUMBER_STYLES[number]
    for reading, (by_role, by_place) in panels(table).items():
        own = means[
            (means["reading"] == reading) & (means["units"] == units) & (means["number"] == number)
        ]
        (roles,) = drawn(by_role, color, units != "all")
        names = ["before", "subject", "attractor", "noun", "other"]
        np.testing.assert_allclose(np.asarray(roles.get_ydata(), float), own.loc[names, "mean"])
        assert np.rint(np.asarray(roles.get_xdata(), float)).tolist() == [0, 1, 2, 3, 4]
        after, before = drawn(by_place, color, units != "all")
        for line, by, shift in ((after, "from_subject", 0), (before, "to_verb", VERB)):
            rows = own[own["by"] == by]
            x, y = (np.asarray(values, float) for values in (line.get_xdata(), line.get_ydata()))
            shown = dict(zip(x, y, strict=True))
            assert np.isnan(shown[17]) if by == "from_subject" else True
            for stratum, mean in rows["mean"].items():
                assert shown[int(str(stratum)) + shift] == pytest.approx(mean)


def test_write_stands_left_of_keep_and_effect_below() -> None:
    titles = [axes.get_title(loc="left") for axes in profile_figure(profile()).axes]
    assert [title for title in titles if title] == list(TITLES.values())


def test_bars_are_intervals_of_the_mean() -> None:
    table = profile(("state_update",), units=("all",)).assign(mean=0.5, sd=0.2, n=90, items=25)
    (by_role, _) = panels(table)["state_update"]
    segments = [each for bars in by_role.collections for each in bars.get_paths()]
    ends = np.array([np.asarray(path.vertices)[:, 1] for path in segments])
    half = 1.96 * 0.2 / np.sqrt(49)  # right and wrong together: 50 items
    np.testing.assert_allclose(ends, [[0.5 - half, 0.5 + half]] * len(ends))


def test_a_single_item_has_no_bar() -> None:
    table = profile(("state_update",), units=("all",))
    (by_role, by_place) = panels(table[table["answer"] == "right"].assign(items=1))["state_update"]
    segments = [path.vertices for bars in by_role.collections for path in bars.get_paths()]
    assert np.isnan(np.asarray(segments)[..., 1]).all()
    assert all(np.isfinite(axes.get_ylim()).all() for axes in (by_role, by_place))


def test_beside_an_odd_reading_stands_nothing() -> None:
    figure = profile_figure(profile())
    assert len(figure.axes) == 2 * 5
    assert [axes.get_title(loc="left") for axes in figure.axes][-2:] == [TITLES["probe"], ""]
    assert len(profile_figure(profile(("state_update", "contribution_change"))).axes) == 4


def test_an_rnn_has_effects_only() -> None:
    assert list(panels(profile(("state_update", "contribution_change")))) == [
        "state_update",
        "contribution_change",
    ]


def test_without_number_units_only_all_are_named(tmp_path: Path) -> None:
    figure = profile_figure(profile(units=("all",)))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(names) == ["all units, plural", "all units, singular"]
    save(figure, tmp_path / "profile.png")


def test_words_are_counted_once_below_each_role() -> None:
    table = profile()
    one = table[(table["reading"] == "keep") & (table["units"] == "all")]
    n = one.loc[one["stratum"] == "subject", "n"].sum()
    axes, _ = panels(table[table["units"] == "all"])["keep"]
    assert axes.get_xticklabels()[1].get_text() == f"subject\n(n {n:,})"


def test_the_verb_is_shown_where_it_is_read() -> None:
    table = profile()
    verb = table[table["stratum"] == "other"].assign(stratum="verb")
    axes, _ = panels(pd.concat([table, verb]))["write"]
    assert axes.get_xticklabels()[-1].get_text().startswith("verb")


def test_a_profile_that_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InputError, match="profile table: expected a column 'answer', got"):
        profile_figure(profile().drop(columns="answer"))


def test_without_a_known_subject_the_figure_says_so(tmp_path: Path) -> None:
    figure = profile_figure(profile()[:0])
    assert [text.get_text() for text in figure.texts] == [
        "No item has a known subject: its words have no roles."
    ]
    save(figure, tmp_path / "profile.png")
