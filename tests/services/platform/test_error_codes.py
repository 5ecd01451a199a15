"""Every code an answer may carry is explained at `/docs`: a loop over all of the source."""

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import get_args

from recoup.kit import errors
from recoup.kit.flags.model import Unanswered
from recoup.kit.schemas.validation import Kind
from recoup.services.pipeline.collect.domain.reading import _code
from recoup.services.platform.docs.domain.errors import ERROR_CODES
from recoup.services.platform.identity.domain import Change, Refresh

SOURCE = Path(errors.__file__).parent.parent
FAILURES = {"Problem"} | {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.Failure)
}
PASSED_ON = {"_problem", "wrong"}
"""Helpers that are given a code and make a problem of it."""
MADE_WHILE_RUNNING = {
    *(why.value for why in (Change.LAST_OWNER, Change.TOO_HIGH, *Refresh)),
    *get_args(Unanswered.__annotations__["why"]),
    *(kind.value for kind in Kind),
    *(_code(what) for what in ("missing required field", "unknown field", "Invalid", "length", "")),
    *(f"{what}_{why}" for what in ("subject", "version") for why in ("deleted", "not_deleted")),
    "subject_missing",
    "method_not_allowed",
    "internal",
}


@cache
def raised() -> Sequence[tuple[str, str]]:
    """Each code that is written in the source, and where."""
    return [
        (code, f"{file.relative_to(SOURCE)}:{line}")
        for file in SOURCE.rglob("*.py")
        for code, line in _written(ast.parse(file.read_text()))
    ]


def _written(module: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            yield from ((code, node.lineno) for code in _codes(node))
        if isinstance(node, ast.ClassDef) and node.name in FAILURES:
            yield from ((code, node.lineno) for line in node.body if (code := _declared(line)))


def _codes(call: ast.Call) -> Iterator[str]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if name in FAILURES or name in {"kind", "cls"}:
        yield from (text for one in call.keywords if one.arg == "code" and (text := _text(one.value)))
    if name in PASSED_ON:
        texts = [text for one in call.args if (text := _text(one)) and text.isidentifier()]
        yield from (text for text in texts if text in _NAMES or "_" in text)


def _declared(line: ast.stmt) -> str:
    return _text(line.value) if isinstance(line, ast.AnnAssign) and getattr(line.target, "id", "") == "code" else ""


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


_NAMES = {one.code for group in ERROR_CODES.values() for one in group}
_FIELDS = {"off_variant", "ends_at"}
"""What helpers are given beside a code: names of fields."""


def test_every_code_that_is_raised_is_explained() -> None:
    found = {code: where for code, where in raised() if code not in _FIELDS}

    assert len(found) > 100
    assert {code: where for code, where in found.items() if code not in _NAMES} == {}
    assert sorted(MADE_WHILE_RUNNING - _NAMES) == []


def test_no_code_is_explained_that_nobody_raises() -> None:
    assert sorted(_NAMES - {code for code, _ in raised()} - MADE_WHILE_RUNNING) == []


def test_every_explanation_is_a_sentence_and_stands_there_once() -> None:
    explained = [one for group in ERROR_CODES.values() for one in group]

    assert [code for code, times in Counter(one.code for one in explained).items() if times > 1] == []
    assert [one for one in explained if not one.meaning.endswith(".") or not one.remedy.endswith(".")] == []
