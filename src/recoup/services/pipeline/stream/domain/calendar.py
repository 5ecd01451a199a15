"""Public holidays of countries, as days since 1970."""

from functools import lru_cache
from typing import Final

import numpy as np

_EPOCH: Final = 1970
_MOST_YEARS: Final = 512


def holidays_between(country: str, first: int, last: int) -> np.ndarray | None:
    """The holidays of the years that these days fall into; None for a country nobody knows any of."""
    years = [_year(day) for day in (first, last)]
    found = [_holidays(country, year) for year in range(years[0], years[1] + 1)]
    known = [days for days in found if days is not None]
    return np.concatenate(known) if known else None


def _year(day: int) -> int:
    return int(np.datetime64(day, "D").astype("datetime64[Y]").astype(np.int64)) + _EPOCH


@lru_cache(maxsize=_MOST_YEARS)
def _holidays(country: str, year: int) -> np.ndarray | None:
    import holidays  # noqa: PLC0415 - 20 MB, for processes that have a store with a country

    try:
        named = holidays.country_holidays(country, years=year)
    except NotImplementedError:
        return None
    return np.array(sorted(named), dtype="datetime64[D]").astype(np.int64)
