"""A registry that answers as the platform does, and can be made to fall silent."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from recoup.kit.errors import Unavailable
from recoup.kit.schemas.source import Format
from recoup.messages.schemas import ActiveSchemas, ActiveVersion, OnViolation, Step, SubjectRules
from recoup.messages.stores import StoreConfigured, StoreDirectory, StoreSettings


@dataclass
class Registry:
    """One store's schemas; what is registered is told only when somebody announces it."""

    schemas: ActiveSchemas = field(default_factory=lambda: ActiveSchemas(revision=0, items=[]))
    fails: bool = False
    hangs: bool = False
    asked: int = 0

    async def get(self, service: str, path: str, kind: type[Any], params: Mapping[str, str] | None = None) -> Any:  # noqa: ARG002 - the port has it
        self.asked += 1
        assert (service, path.rpartition("/")[0]) == ("platform", "/internal/schemas")
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise Unavailable("platform does not answer")
        return msgspec.json.decode(msgspec.json.encode(self.schemas), type=kind)

    def register(self, name: str, schema: object, format_: Format = Format.JSON) -> int:
        """The number of the new version."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        version = 1 + max((one.version for one in self.schemas.items if one.name == name), default=0)
        made = ActiveVersion(
            name=name, version=version, id=len(self.schemas.items) + 1, format=format_, schema=text, references={}
        )
        self._now([*self.schemas.items, made], self.schemas.rules)
        return version

    def rule(self, name: str, on_violation: OnViolation) -> None:
        rules = self.schemas.rules.get(name, SubjectRules())
        changed = SubjectRules(on_violation=on_violation, migrations=rules.migrations)
        self._now(self.schemas.items, {**self.schemas.rules, name: changed})

    def migrate(self, name: str, version: int, *steps: Step) -> None:
        rules = self.schemas.rules.get(name, SubjectRules())
        changed = SubjectRules(on_violation=rules.on_violation, migrations={**rules.migrations, version: steps})
        self._now(self.schemas.items, {**self.schemas.rules, name: changed})

    def _now(self, items: Any, rules: Any) -> None:
        self.schemas = ActiveSchemas(revision=self.schemas.revision + 1, items=items, rules=rules)

    async def announce(self, stores: StoreDirectory, store_id: str, **settings: Any) -> None:
        """What `config-changes` says of the store."""
        chosen = msgspec.convert(settings, StoreSettings)
        told = StoreConfigured(store_id=store_id, version=1, settings=chosen, schemas=self.schemas.revision)
        await stores.on_configured([told])
