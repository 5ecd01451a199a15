"""Recoup's flags for OpenFeature: a provider over a snapshot that its process keeps anyway.

    api.set_provider(FlagProvider(snapshot, now), domain="recoup")
    person = EvaluationContext("visitor-7", {"country": "SE"})
    api.get_client(domain="recoup").get_boolean_value("banner", False, person)

`snapshot` is asked at every evaluation, so that a change counts from the next one on; it says None where nothing is
known yet. Without an answer the caller's default is served, with OpenFeature's code for the reason.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata
from typing_extensions import override

from recoup.kit.flags.model import Context, Json, Unanswered, Why
from recoup.kit.flags.snapshot import Now, Snapshot

V = TypeVar("V")
PREREQUISITE_FAILED: Final = "PREREQUISITE_FAILED"
REASONS: Final[Mapping[Why, str]] = {
    "off": Reason.DISABLED,
    "before_start": Reason.DISABLED,
    "after_end": Reason.DISABLED,
    "prerequisite": PREREQUISITE_FAILED,
    "rule": Reason.TARGETING_MATCH,
    "split": Reason.SPLIT,
    "fixed": Reason.STATIC,
    "otherwise": Reason.DEFAULT,
}
_CODES: Final = {
    "flag_not_found": ErrorCode.FLAG_NOT_FOUND,
    "targeting_key_missing": ErrorCode.TARGETING_KEY_MISSING,
}
_Structure = Sequence[FlagValueType] | Mapping[str, FlagValueType]


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


class FlagProvider(AbstractProvider):
    """Serves the flags of one store."""

    def __init__(self, snapshot: Callable[[], Snapshot | None], now: Now) -> None:
        super().__init__()
        self._snapshot = snapshot
        self._now = now

    @override
    def get_metadata(self) -> Metadata:
        return Metadata(name="recoup")

    @override
    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        return self._resolved(flag_key, default_value, evaluation_context, lambda value: isinstance(value, bool))

    @override
    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        return self._resolved(flag_key, default_value, evaluation_context, lambda value: isinstance(value, str))

    @override
    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        return self._resolved(flag_key, default_value, evaluation_context, _is_integer)

    @override
    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        found = self._resolved(
            flag_key, default_value, evaluation_context, lambda value: isinstance(value, float) or _is_integer(value)
        )
        found.value = float(found.value)
        return found

    @override
    def resolve_object_details(
        self, flag_key: str, default_value: _Structure, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[_Structure]:
        return self._resolved(flag_key, default_value, evaluation_context, lambda value: isinstance(value, dict | list))

    def _resolved(
        self, key: str, default: V, given: EvaluationContext | None, fits: Callable[[Json], bool]
    ) -> FlagResolutionDetails[V]:
        snapshot = self._snapshot()
        if snapshot is None:
            return _failed(default, ErrorCode.PROVIDER_NOT_READY, "no flags are known yet")
        answer = snapshot.evaluate(key, _context(given), self._now)
        if isinstance(answer, Unanswered):
            return _failed(default, _CODES[answer.why], answer.detail)
        if not fits(answer.value):
            return _failed(default, ErrorCode.TYPE_MISMATCH, f"flag {key!r} serves something else")
        metadata = {} if answer.rule is None else {"rule": answer.rule}
        return FlagResolutionDetails(
            value=cast("V", answer.value), variant=answer.variant, reason=REASONS[answer.why], flag_metadata=metadata
        )


def _failed(default: V, code: ErrorCode, detail: str) -> FlagResolutionDetails[V]:
    return FlagResolutionDetails(value=default, reason=Reason.ERROR, error_code=code, error_message=detail)


def _context(given: EvaluationContext | None) -> Context:
    if given is None:
        return Context()
    return Context(targeting_key=given.targeting_key or "", attributes=cast("dict[str, Any]", given.attributes))
