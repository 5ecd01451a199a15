"""What can go wrong, by who has to act on it. Knows nothing of HTTP: `kit.http` translates.

    Failure
    ├── Refused        the caller must change something; never retried
    │   ├── Invalid         400  the input breaks a rule; `problems` says which, where
    │   ├── Unauthenticated 401  no identity, or one we cannot verify
    │   ├── Forbidden       403  a known identity without the permission
    │   ├── Missing         404  no such thing, for this caller
    │   ├── Conflict        409  the thing has changed, or exists already
    │   │   └── Stale       412  the caller's version is not the current one
    │   ├── TooSlow         408  the rest of a request did not come in time
    │   ├── TooLarge        413  over a stated limit
    │   ├── Unsupported     415  a form of body we do not read; the detail names those we do
    │   └── TooMany         429  later; `retry_after` says when
    └── Unavailable    503  a dependency does not answer; worth a retry

Anything else that is raised is a bug and stays loud.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from msgspec import Struct


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One broken rule: where (`index` in a list, `field` as a dotted path), which, and what was seen."""

    code: str
    detail: str
    field: str = ""
    index: int | None = None


class Failure(Exception):
    """Something went wrong that we know how to say."""

    code: ClassVar[str] = "failure"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.said = detail
        self.reason = code or self.code


class Refused(Failure):
    """The caller has to act."""

    code: ClassVar[str] = "refused"


class Invalid(Refused):
    """The input breaks a rule."""

    code: ClassVar[str] = "invalid"

    def __init__(self, detail: str, *, code: str | None = None, problems: Sequence[Problem] = ()) -> None:
        super().__init__(detail, code=code)
        self.problems = tuple(problems)


class Unauthenticated(Refused):
    """No identity, or one that cannot be verified."""

    code: ClassVar[str] = "unauthenticated"


class Forbidden(Refused):
    """A known identity lacks the permission."""

    code: ClassVar[str] = "forbidden"


class Missing(Refused):
    """There is no such thing for this caller."""

    code: ClassVar[str] = "missing"


class Conflict(Refused):
    """The thing has changed meanwhile, exists already, or does not go with what is there."""

    code: ClassVar[str] = "conflict"

    def __init__(self, detail: str, *, code: str | None = None, problems: Sequence[Problem] = ()) -> None:
        super().__init__(detail, code=code)
        self.problems = tuple(problems)


class Busy(Conflict):
    """The very same is being done already; the same call may pass after `retry_after`."""

    code: ClassVar[str] = "busy"

    def __init__(self, detail: str, *, retry_after: timedelta, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class Stale(Conflict):
    """The caller acts on a version that is not the current one."""

    code: ClassVar[str] = "stale"


class Mismatch(Refused):
    """Each thing is right by itself, but they do not go together."""

    code: ClassVar[str] = "mismatch"


class TooSlow(Refused):
    """What was begun was not gone on with in time."""

    code: ClassVar[str] = "too_slow"


class TooLarge(Refused):
    """Over a limit, which the detail names."""

    code: ClassVar[str] = "too_large"


class Unsupported(Refused):
    """A body in a form we do not read."""

    code: ClassVar[str] = "unsupported"


class TooMany(Refused):
    """Too much at once; the same call may pass after `retry_after`."""

    code: ClassVar[str] = "too_many"

    def __init__(self, detail: str, *, retry_after: timedelta, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class Unavailable(Failure):
    """A dependency does not answer.

    `cause` is for our logs and stands in `detail`; callers are told `said` alone, since causes hold addresses of ours.
    """

    code: ClassVar[str] = "unavailable"

    def __init__(self, said: str, *, cause: object = None, code: str | None = None) -> None:
        super().__init__(said if cause is None else f"{said}: {cause}", code=code)
        self.said = said
