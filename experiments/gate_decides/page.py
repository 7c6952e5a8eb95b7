"""The page of the study: a template, filled in with the numbers of the tables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from experiments.gate_decides.measures import MEASURES
from experiments.gate_decides.tables import OVER_SEEDS, over_seeds, read_tables
from memgate.errors import InputError

TEMPLATE = "page.md.j2"
"""The template, in the folder of the tables."""


NOTHING = "–"


@dataclass(frozen=True)
class Seeds:
    """A number over seeds, as text.

    In a template, ``{{ accuracy("gru", "corpus", 100) }}`` is the mean as text. `low` and `high`
    are the ends of the 95% t-interval of the mean, NaN for one seed; `min` and `max` those of the
    seeds. A proportion is shown in percent with one digit, other numbers with two.
    """

    mean: float
    low: float
    high: float
    min: float
    max: float
    seeds: int
    percent: bool

    def __str__(self) -> str:
        return _text(self.mean, self.percent) + self._sign

    @property
    def _sign(self) -> str:
        return "%" if self.percent else ""

    @property
    def seed_range(self) -> str:
        """The smallest and the largest of the seeds, such as ``98.1–100.0%``."""
        return self._range(self.min, self.max)

    @property
    def interval(self) -> str:
        """The 95% interval of the mean over seeds; of an accuracy it may end above 100%."""
        return self._range(self.low, self.high)

    def _range(self, low: float, high: float) -> str:
        if math.isnan(low + high):
            return NOTHING
        ends = [_text(low, self.percent), _text(high, self.percent)]
        joint = " to " if "−" in "".join(ends) else "–"
        return joint.join(ends) + self._sign


def _text(number: float, percent: bool) -> str:
    if math.isnan(number):
        return NOTHING
    text = f"{100 * number:.1f}" if percent else f"{number:.2f}"
    return text.replace("-", "" if float(text) == 0 else "−")


class Numbers:
    """The functions of the template: each public method is one.

    Cells are ``rnn``, ``gru`` and ``lstm``; `units` is the hidden size; `of` is ``all`` units, the
    ``number`` units or ``random`` ones. A row that isn't there is an `InputError`.

    Args:
        folder: Of the tables.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tables = read_tables(folder)

    def accuracy(
        self, cell: str, data: str, units: int, stratum: str = "all", by: str | None = None
    ) -> Seeds:
        """Return the test accuracy.

        The stratum is ``all``; ``sg`` or ``pl``; or a number of words between, such as ``11+``; or
        a number of attractors if `by` is ``attractors``.
        """
        where = {"by": by or _breakdown(stratum), "stratum": stratum}
        return self._over_seeds("accuracy", "accuracy", True, cell, data, units, **where)

    def role(
        self,
        reading: str,
        cell: str,
        data: str,
        units: int,
        role: str,
        of: str = "all",
        value: str = "mean",
    ) -> Seeds:
        """Return the mean of a reading, such as ``write``, at the words of a role."""
        where = {"reading": reading, "role": role, "of": of}
        return self._over_seeds("roles", value, False, cell, data, units, **where)

    median = partialmethod(role, value="median")
    """The median over words of ``write`` or ``keep``, averaged over units."""

    def position(self, reading: str, cell: str, data: str, units: int, position: int) -> Seeds:
        """Return the mean of ``write``, ``keep`` or ``state_update`` at words after the subject."""
        where = {"reading": reading, "position": position}
        rows = self._rows("positions", cell=cell, data=data, units=units, **where)
        return _seeds(rows, False)

    def under(
        self,
        edit: str,
        quantity: str | None,
        to: float | None,
        cell: str,
        data: str,
        units: int,
        stratum: str = "all",
        by: str | None = None,
        of: str = "all",
    ) -> Seeds:
        """Return the accuracy under an intervention, such as ``under("clamp", "write", 0, …)``.

        The names of edits and quantities are those of `memgate.gates.interventions.dose_response`;
        only a clamp has a number that it clamps `to`. `of` are the units in which it is changed.
        """
        where = {"edit": edit, "quantity": quantity, "to": to, "of": of}
        where |= {"by": by or _breakdown(stratum), "stratum": stratum}
        return _seeds(self._rows("strata", cell=cell, data=data, units=units, **where), True)

    def number_units(self, what: str, cell: str, data: str, units: int) -> Seeds:
        """Return a column of ``units.csv``, such as ``drop``, ``probe``, ``size`` or ``rho``."""
        percent = what in ("intact", "ablated", "drop", "probe", "selectivity")
        return self._over_seeds("units", what, percent, cell, data, units)

    def networks_with_units(self, cell: str, data: str, units: int) -> str:
        """Return how many networks have number units, such as ``4 of 5``."""
        rows = self._rows("units", cell=cell, data=data, units=units)
        return f"{(rows['size'] > 0).sum()} of {len(rows)}"

    def set_sizes(self, cell: str, data: str, units: int) -> str:
        """Return the sizes of the sets of number units, such as ``4–6``; 0 for no set."""
        sizes = self._rows("units", cell=cell, data=data, units=units)["size"].astype(int)
        low, high = sizes.min(), sizes.max()
        return f"{low}" if low == high else f"{low}–{high}"

    def gradient(
        self,
        cell: str,
        data: str,
        units: int,
        distance: int,
        trained: bool = True,
        state: str = "hidden",
    ) -> str:
        """Return the gradient's norm so many words before the last, to two digits.

        It is the median over seeds of the median over items; `state` is ``hidden`` or ``cell``.
        """
        where = {"distance": distance, "trained": trained, "state": state}
        rows = self._rows("gradients", cell=cell, data=data, units=units, **where)
        return f"{float(rows['median'].iloc[0]):.2g}"

    def oracle(self, cell: str, data: str, stratum: str = "all", by: str | None = None) -> str:
        """Return the accuracy of the hand-set network, in percent."""
        where = {"measure": "accuracy", "by": by or _breakdown(stratum), "stratum": stratum}
        rows = self._rows("oracle", cell=cell, data=data, **where)
        return _text(float(rows["value"].iloc[0]), True) + "%"

    def oracle_role(self, reading: str, cell: str, data: str, role: str) -> str:
        """Return the mean of a reading of the hand-set network at the words of a role."""
        where = {"measure": reading, "by": "role", "stratum": role}
        rows = self._rows("oracle", cell=cell, data=data, **where)
        return _text(float(rows["value"].iloc[0]), False)

    def baseline(self, system: str, data: str, stratum: str = "all", by: str | None = None) -> str:
        """Return the accuracy of ``first_noun``, ``majority`` and so on, in percent."""
        where = {"system": system, "by": by or _breakdown(stratum), "stratum": stratum}
        rows = self._rows("baselines", data=data, **where)
        return _text(float(rows["accuracy"].iloc[0]), True) + "%"

    def clamped(self, data: str) -> int:
        """Return on how many test items gates were clamped: a sample of those with tags."""
        tagged = self._rows("baselines", data=data, system="first_noun", by="overall")["n"]
        return min(MEASURES["items"], int(tagged.iloc[0]))

    def seeds(self) -> int:
        """Return how many seeds there are of each network."""
        return int(self._tables["accuracy"]["seed"].nunique())

    def networks(self) -> int:
        """Return how many networks were trained."""
        return len(self._tables["units"])

    def _over_seeds(
        self, table: str, value: str, percent: bool, cell: str, data: str, units: int, **where: Any
    ) -> Seeds:
        """Summarise a number of a table with a row a seed."""
        rows = self._rows(table, cell=cell, data=data, units=units, **where)
        if value not in rows or rows[value].isna().all():
            raise self._missing(table, {"cell": cell, "data": data, "units": units, **where}, value)
        return _seeds(over_seeds(rows.assign(one=0), value, ["one"]), percent)

    def _rows(self, name: str, **where: Any) -> pd.DataFrame:
        rows = self._tables[name]
        for column, value in where.items():
            cells = rows[column]
            same = cells.isna() if value is None else (cells == value).fillna(False)
            rows = rows[same.to_numpy(dtype=bool)]
        if rows.empty:
            raise self._missing(name, where)
        return rows

    def _missing(self, name: str, where: dict[str, Any], value: str = "") -> InputError:
        row = ", ".join(f"{key} {value}" for key, value in where.items())
        what = f"{value} of " if value else ""
        return InputError(f"{self._folder / name}.csv: expected {what}a row with {row}, got none")


def _breakdown(stratum: str) -> str:
    return {"all": "overall", "sg": "label", "pl": "label"}.get(stratum, "intervening")


def _seeds(rows: pd.DataFrame, percent: bool) -> Seeds:
    row = rows.iloc[0]
    mean, low, high, least, most = (float(row[name]) for name in OVER_SEEDS[1:])
    return Seeds(mean, low, high, least, most, int(row["seeds"]), percent)


def render(template: Path) -> str:
    """Write the page.

    Args:
        template: Jinja2; the tables are in the same folder. Its functions are those of `Numbers`.

    Raises:
        InputError: The template can't be read, or needs a number that no table has.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701  Markdown, from our own template
    )
    numbers = Numbers(template.parent)
    functions = {name: getattr(numbers, name) for name in vars(Numbers) if not name.startswith("_")}
    try:
        return environment.get_template(template.name).render(functions)
    except jinja2.TemplateNotFound as error:
        raise InputError(f"{template}: expected the page's template, found none") from error
    except (jinja2.TemplateError, TypeError) as error:
        line = f", line {error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else ""
        raise InputError(f"{template}{line}: {' '.join(str(error).split())}") from error
