"""When a job is due next: our own rules, and the recorded cases of a cron library's test suite."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recoup.kit.errors import Conflict, Invalid, Missing
from recoup.services.scheduler.jobs.domain import Job, named, next_time, run_id

VECTORS = Path(os.environ.get("RECOUP_SHARED", "/nowhere")) / "data/cron_vectors/cron_vectors.json"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 3 * * *", "2026-06-02T03:00:00+00:00"),
        ("*/15 * * * *", "2026-06-01T12:15:00+00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00:00+00:00"),
        ("30 4 1 * *", "2026-07-01T04:30:00+00:00"),
        ("0 9 * * mon-fri", "2026-06-02T09:00:00+00:00"),
    ],
)
def test_the_next_time_comes_after_now(cron: str, expected: str) -> None:
    assert next_time(cron, NOON) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("cron", ["", "* * * *", "61 * * * *", "0 0 30 2 *", "* * * * * *", "@daily", "a b c d e"])
def test_what_never_comes_or_is_no_expression_is_refused(cron: str) -> None:
    with pytest.raises(Invalid):
        next_time(cron, NOON)


def test_a_run_has_the_same_id_for_whoever_notices_it() -> None:
    assert run_id(job("ai", "train"), NOON) == run_id(job("ai", "train"), NOON)
    assert run_id(job("ai", "train"), NOON) != run_id(job("ai", "drift"), NOON)


def test_a_job_is_named_by_its_service_and_name_or_by_its_name_alone_where_that_is_enough() -> None:
    jobs = [job("ai", "train"), job("ai", "clean"), job("monitoring", "clean")]
    assert named(jobs, "train").id == "ai.train"
    assert named(jobs, "monitoring.clean").service == "monitoring"
    with pytest.raises(Conflict, match=r"ai\.clean, monitoring\.clean"):
        named(jobs, "clean")
    with pytest.raises(Missing):
        named(jobs, "polish")


def job(service: str, name: str) -> Job:
    return Job(
        service=service, name=name, cron="0 3 * * *", timeout_seconds=60, paused=False, offered=True, next_run=None
    )


def recorded() -> list[dict[str, Any]]:
    """Cases we promise to know: five fields, no zone, no options of that library."""
    if not VECTORS.exists():
        return []
    cases = json.loads(VECTORS.read_text())["cases"]
    return [case for case in cases if len(case["expr"].split()) == 5 and not case["tz"] and not case["kwargs"]]


@pytest.mark.skipif(not VECTORS.exists(), reason="needs the shared data folder, by RECOUP_SHARED")
def test_recorded_cases_give_the_recorded_moments() -> None:
    wrong = [case for case in recorded() if case["valid"] and not _agrees(case)]
    accepted = [case["expr"] for case in recorded() if not case["valid"] and not _refused(case["expr"])]
    assert (wrong, accepted) == ([], [])


def _agrees(case: dict[str, Any]) -> bool:
    at = _moment(case["start"])
    for operation, expected in case["ops"]:
        if operation != "get_next":
            return True
        if str(expected).startswith("!"):  # the library's own refusal
            return _refused(case["expr"])
        at = next_time(case["expr"], at)
        if at != _moment(expected):
            return False
    return True


def _moment(recorded: str | float) -> datetime:
    if isinstance(recorded, str):
        return datetime.fromisoformat(recorded).replace(tzinfo=UTC)
    return datetime.fromtimestamp(recorded, UTC)


def _refused(expression: str) -> bool:
    try:
        next_time(expression, NOON)
    except Invalid:
        return True
    return False
