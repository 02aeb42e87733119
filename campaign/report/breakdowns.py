"""The workbook's further sheets: by day, hour, month, activity, person and error code, and the charts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xlsxwriter.chart import Chart
from xlsxwriter.worksheet import Worksheet

from campaign.domain.money import Sum
from campaign.domain.summary import Summary
from campaign.domain.verdict import OWNER_TEXT, VERDICT_TEXT, Explain, Verdict
from campaign.ledger.people import Person
from campaign.report.cover import Cover
from campaign.report.grid import Book, Grid
from campaign.report.lines import COLOURS, Kind
from campaign.text import Text, text

_ROWS_AND_YUAN = ((Kind.COUNT, 13), (Kind.MONEY, 16))
_CHART_SIZE = {"width": 700, "height": 300}


class Breakdowns:
    """Writes each sheet after the details, when everything is summed up."""

    def __init__(self, book: Book, *, explain: Explain) -> None:
        self._book = book
        self._say = book.say
        self._explain = explain
        self._charts: Worksheet = book.sheet(book.say(text("Charts")), landscape=False)

    def write(self, summary: Summary, people: Iterable[Person], cover: Cover) -> None:
        """Write all of them, and the charts over their cells."""
        days = self._days(summary)
        hours = self._hours(summary)
        self._months(summary)
        self._activities(summary)
        self._people(people)
        self._codes(summary)
        self._draw(cover, days, hours)

    def _days(self, summary: Summary) -> Grid:
        grid = self._grid(
            text("Days"), (text("day (Beijing)"),), (text("sent"), text("opened"), text("came back"))
        )
        for day, moved in sorted(summary.days.items()):
            grid.append((f"{day:%Y-%m-%d}", *_flat(moved.sent, moved.claimed, moved.refunded)))
        self._total(grid, [(d.sent, d.claimed, d.refunded) for d in summary.days.values()], first=1, groups=3)
        return grid

    def _hours(self, summary: Summary) -> Grid:
        grid = self._grid(
            text("Opening"), (text("hours after sending"),), (text("opened"),), first=(Kind.COUNT, 14)
        )
        last = max(summary.claim_hours, default=-1)
        for hour in range(last + 1):  # an hour without openings is a row, too, for the curve
            grid.append((hour, *_flat(summary.claim_hours.get(hour, Sum()))))
        self._total(grid, [(total,) for total in summary.claim_hours.values()], first=1, groups=1)
        return grid

    def _months(self, summary: Summary) -> None:
        """What was sent in one month and came back in another, so that either month can be closed."""
        grid = self._grid(text("Months"), (text("sent in"), text("came back in")), (text("amount"),))
        for (sent, back), total in sorted(summary.months.items()):
            grid.append((sent, back or self._say(text("not come back")), *_flat(total)))
        self._total(grid, [(total,) for total in summary.months.values()], first=2, groups=1)

    def _activities(self, summary: Summary) -> None:
        groups = (text("all rows"), *(VERDICT_TEXT[found] for found in Verdict))
        grid = self._grid(text("Activities"), (text("activity"),), groups, first=(Kind.TEXT, 24))
        sums = []
        for name, totals in sorted(summary.activities.items()):
            sums.append((totals.planned, *(totals.verdicts[found] for found in Verdict)))
            grid.append((name or "–", *_flat(*sums[-1])))
        self._total(grid, sums, first=1, groups=len(groups))

    def _people(self, people: Iterable[Person]) -> None:
        groups = (text("all rows"), text("paid"))
        grid = self._grid(text("People"), (text("openid"),), groups, first=(Kind.TEXT, 31))
        planned, paid = Sum(), Sum()
        for person in people:
            grid.append(person)
            planned.rows += person.rows
            planned.fen += person.fen
            paid.rows += person.paid_rows
            paid.fen += person.paid_fen
        self._total(grid, [(planned, paid)], first=1, groups=2)

    def _codes(self, summary: Summary) -> None:
        """Every code that a row which was not paid ended with, and what it means."""
        columns: Sequence[tuple[Text, Kind, int]] = (
            (text("error code"), Kind.TEXT, 22),
            (text("rows"), Kind.COUNT, 9),
            (text("yuan"), Kind.MONEY, 13),
            (text("meaning"), Kind.TEXT, 52),
            (text("who acts"), Kind.TEXT, 12),
            (text("next step"), Kind.TEXT, 60),
        )
        titled = [(self._say(title), kind, width) for title, kind, width in columns]
        grid = Grid(self._book, text("Error codes"), titled, wrap=True)
        for code, total in sorted(summary.err_codes.items(), key=lambda item: (-item[1].rows, item[0])):
            meaning = self._explain(code)
            words = self._say(meaning.cause), self._say(OWNER_TEXT[meaning.owner]), self._say(meaning.advice)
            grid.append((code, *_flat(total), *words))
        grid.finish()

    def _grid(
        self,
        name: Text,
        keys: Sequence[Text],
        groups: Sequence[Text],
        *,
        first: tuple[Kind, int] = (Kind.TEXT, 16),
    ) -> Grid:
        """A table whose groups have a column of rows and one of yuan each."""
        columns = [
            (self._say(key), *(first if place == 0 else (Kind.TEXT, 16))) for place, key in enumerate(keys)
        ]
        for group in groups:
            columns += [
                (f"{self._say(group)}: {self._say(unit)}", kind, width)
                for unit, (kind, width) in zip((text("rows"), text("yuan")), _ROWS_AND_YUAN, strict=True)
            ]
        return Grid(self._book, name, columns)

    def _total(self, grid: Grid, sums: Iterable[Sequence[Sum]], *, first: int, groups: int) -> None:
        added = dict.fromkeys(range(first, first + 2 * groups), 0)
        for group in sums:
            for n, figure in enumerate(_flat(*group)):
                added[first + n] += figure
        grid.total(self._say(text("total")), added)

    def _draw(self, cover: Cover, days: Grid, hours: Grid) -> None:
        self._book.banner(self._charts, 0, 10)
        charts = [self._verdict_chart(cover)]
        if days.rows:
            charts.append(self._day_chart(days))
        if hours.rows:
            charts.append(self._hour_chart(hours))
        for place, chart in enumerate(charts):
            chart.set_size(_CHART_SIZE)
            self._charts.insert_chart(2 + place * 16, 0, chart)
        self._charts.print_area(0, 0, 2 + 16 * len(charts), 10)

    def _verdict_chart(self, cover: Cover) -> Chart:
        chart = self._book.file.add_chart({"type": "bar"})
        labels, amounts = cover.verdict_cells
        points = [{"fill": {"color": COLOURS[found]}} for found in Verdict]
        chart.add_series(
            {
                "name": self._say(text("yuan")),
                "categories": labels,
                "values": amounts,
                "points": points,
                "data_labels": {"value": True, "num_format": "#,##0.00"},
                "gap": 40,
            }
        )
        chart.set_title({"name": self._say(text("What became of the money (yuan)")), "overlay": False})
        chart.set_y_axis({"reverse": True})
        chart.set_x_axis({"num_format": "#,##0", "major_gridlines": {"visible": False}})
        chart.set_legend({"none": True})
        return chart

    def _day_chart(self, days: Grid) -> Chart:
        chart = self._book.file.add_chart({"type": "column"})
        series = (
            (2, text("sent"), "#1F3A5F"),
            (4, text("opened"), COLOURS[Verdict.CLAIMED]),
            (6, text("came back"), COLOURS[Verdict.REFUNDED]),
        )
        for column, name, colour in series:
            chart.add_series(
                {
                    "name": self._say(name),
                    "categories": f"={days.ranges(0)[0]}",
                    "values": f"={days.ranges(column)[0]}",
                    "fill": {"color": colour},
                }
            )
        chart.set_title({"name": self._say(text("Money by Beijing day (yuan)"))})
        chart.set_y_axis({"num_format": "#,##0"})
        chart.set_legend({"position": "bottom"})
        return chart

    def _hour_chart(self, hours: Grid) -> Chart:
        chart = self._book.file.add_chart({"type": "column"})
        chart.add_series(
            {
                "name": self._say(text("opened")),
                "categories": f"={hours.ranges(0)[0]}",
                "values": f"={hours.ranges(1)[0]}",
                "fill": {"color": COLOURS[Verdict.CLAIMED]},
                "gap": 10,
            }
        )
        chart.set_title({"name": self._say(text("Packets opened, by hours after sending"))})
        chart.set_legend({"none": True})
        return chart


def _flat(*sums: Sum) -> list[int]:
    return [figure for total in sums for figure in (total.rows, total.fen)]
