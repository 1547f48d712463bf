"""When a scene was taken."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from terralab.catalog.errors import InvalidInput
from terralab.datasets.dates import date_of, parse_period
from terralab.datasets.raster_file import RasterFacts
from terralab.extensions.raster import Grid


def facts(name: str, written: str | None = None) -> RasterFacts:
    grid = Grid("EPSG:32630", (10, 0, 0, 0, -10, 0), (1, 1))
    return RasterFacts(Path(name), name, grid, "uint8", (None,), None, written)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2020-05-01", datetime(2020, 5, 1, tzinfo=UTC), datetime(2020, 5, 1, tzinfo=UTC)),
        ("2020-05-01T10:30:00Z", datetime(2020, 5, 1, 10, 30, tzinfo=UTC), datetime(2020, 5, 1, 10, 30, tzinfo=UTC)),
        ("2020-05-01/2020-05-03", datetime(2020, 5, 1, tzinfo=UTC), datetime(2020, 5, 3, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_periods(text: str, start: datetime, end: datetime) -> None:
    assert parse_period(text) == (start, end)


@pytest.mark.parametrize("text", ["yesterday", "2020-13-01", "2020-05-03/2020-05-01", "2020-05-01/", ""])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="datetime"):
        parse_period(text)


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("a.tif", "2020:05:01 10:30:00", datetime(2020, 5, 1, 10, 30, tzinfo=UTC)),
        ("S2A_20190918T105031_T30S.tif", None, datetime(2019, 9, 18, 10, 50, 31, tzinfo=UTC)),
        ("flood_2019-09-18_x.tif", None, datetime(2019, 9, 18, tzinfo=UTC)),
        ("a_20200231_20200228.tif", None, datetime(2020, 2, 28, tzinfo=UTC)),
        ("a_20200101.tif", "not a date", datetime(2020, 1, 1, tzinfo=UTC)),
    ],
)
def test_dates_of_files(name: str, written: str | None, expected: datetime) -> None:
    assert date_of(facts(name, written)) == (expected, expected)


def test_a_file_without_date_says_what_to_give() -> None:
    with pytest.raises(InvalidInput, match=r"Spain_7370579_S2Hand\.tif: .*--datetime"):
        date_of(facts("Spain_7370579_S2Hand.tif"))
