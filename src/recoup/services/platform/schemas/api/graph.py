"""What can be asked by GraphQL: subjects as `EventSchema`, versions, and `_service` and `_entities` for a federation.

Loaded when the first query comes. Depth and cost are judged before anything is looked up: a query that asks for too
much is refused whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    parse,
)
from strawberry.types import Info

from recoup.kit.errors import Missing
from recoup.kit.schemas.source import Format
from recoup.services.platform.schemas.actions import Registry
from recoup.services.platform.schemas.domain import (
    DEFAULT_COMPATIBILITY,
    WHOLE_STORE,
    Compatibility,
    State,
    Version,
)
from recoup.services.platform.schemas.store import Schemas

MOST: Final = 100
LISTS: Final = {"schemas": 20, "versions": 20, "references": 5, "referencedBy": 5, "_entities": 10}
"""How many items a list is counted as, where `first` does not say."""
TOKENS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, and where the answers come from."""

    store_id: str
    registry: Registry
    schemas: Schemas


# It marks the classes and gives them back.
strawberry.enum(Format, name="SchemaFormat")
strawberry.enum(Compatibility)
strawberry.enum(State, name="SchemaState")


@strawberry.type(description="What a schema refers to.")
class SchemaReference:
    name: str
    subject: str
    version: int


@strawberry.type(description="One version of a schema.")
class SchemaVersion:
    version: int
    id: int
    format: Format
    state: State
    schema: str
    references: list[SchemaReference]
    created_at: datetime
    created_by: str

    @classmethod
    def of(cls, found: Version) -> "SchemaVersion":
        return cls(
            version=found.version, id=found.id, format=found.format, state=found.state, schema=found.text,
            references=[
                SchemaReference(name=one.name, subject=one.subject, version=one.version) for one in found.references
            ],
            created_at=found.created_at, created_by=found.created_by,
        )  # fmt: skip


@strawberry.federation.type(keys=["name"], description="A subject of the registry: for an event, its type.")
class EventSchema:
    name: strawberry.ID
    known: strawberry.Private[list[Version]]

    @strawberry.field(description="In which format the latest version is.")
    def format(self) -> Format:
        return self.known[-1].format

    @strawberry.field(description="The version in force.")
    def latest(self) -> SchemaVersion:
        return SchemaVersion.of(self.known[-1])

    @strawberry.field(description="The newest versions, newest first.")
    def versions(self, first: int = 20) -> list[SchemaVersion]:
        return [SchemaVersion.of(one) for one in reversed(self.known[-_size(first) :])]

    @strawberry.field(description="One version by its number.")
    def version(self, number: int) -> SchemaVersion | None:
        return next((SchemaVersion.of(one) for one in self.known if one.version == number), None)

    @strawberry.field(description="The compatibility in force for the next version.")
    async def compatibility(self, info: Info[Context, None]) -> Compatibility:
        schemas, store_id = info.context.schemas, info.context.store_id
        own = await schemas.settings(store_id, self.name)
        store = await schemas.settings(store_id, WHOLE_STORE)
        return own.compatibility or store.compatibility or DEFAULT_COMPATIBILITY

    @strawberry.field(description="Ids of schemas that refer to the latest version.")
    async def referenced_by(self, info: Info[Context, None]) -> list[int]:
        found = await info.context.schemas.referring(info.context.store_id, self.name, self.known[-1].version)
        return list(found)

    @classmethod
    async def resolve_reference(cls, info: Info[Context, None], name: strawberry.ID) -> "EventSchema | None":
        return await _found(info.context, name)


@strawberry.type
class Query:
    @strawberry.field(description="A subject by its name.")
    async def schema(self, info: Info[Context, None], name: str) -> EventSchema | None:
        return await _found(info.context, name)

    @strawberry.field(description="Subjects by name, from the one after `after` on.")
    async def schemas(
        self, info: Info[Context, None], first: int = 20, after: str = "", prefix: str = ""
    ) -> list[EventSchema]:  # fmt: skip
        context = info.context
        names = await context.schemas.subjects(context.store_id, prefix, after, _size(first), deleted=False)
        found = await context.schemas.versions(context.store_id, names)
        active = [one for one in found if one.deleted_at is None]
        return [
            EventSchema(name=strawberry.ID(name), known=[one for one in active if one.subject == name])
            for name in names
        ]


SCHEMA: Final = strawberry.federation.Schema(query=Query)


async def answer(
    query: str, variables: Mapping[str, object] | None, operation: str | None, context: Context, limits: tuple[int, int]
) -> dict[str, object]:
    """The answer as it goes over the wire; what is wrong with the query stands in it."""
    try:
        weigh(parse(query, max_tokens=TOKENS), variables or {}, *limits)
    except (GraphQLError, RecursionError) as error:
        return {"data": None, "errors": [{"message": str(error)}]}
    result = await SCHEMA.execute(query, dict(variables or {}), context, operation_name=operation)
    made: dict[str, object] = {"data": result.data}
    if result.errors:
        made["errors"] = [error.formatted for error in result.errors]
    return made


def weigh(document: DocumentNode, variables: Mapping[str, object], depth: int, cost: int) -> None:
    """Raises GraphQLError for a query that is nested too deep or would bring too much."""
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    scale = _Scale(fragments, variables, depth, cost)
    for one in document.definitions:
        if isinstance(one, OperationDefinitionNode):
            scale.add(one.selection_set, 1, 1)


@dataclass(slots=True)
class _Scale:
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, object]
    depth: int
    left: int

    def add(self, selection: SelectionSetNode, depth: int, times: int) -> None:
        if depth > self.depth:
            raise GraphQLError(f"nested deeper than {self.depth}")
        for one in selection.selections:
            self.left -= times
            if self.left < 0:
                raise GraphQLError("this asks for too much at once")
            match one:
                case FieldNode(selection_set=SelectionSetNode() as inner):
                    # What a federation's router asks about our types is ours to answer at any depth.
                    if not one.name.value.startswith("__"):
                        self.add(inner, depth + 1, times * self._size(one))
                case InlineFragmentNode():
                    self.add(one.selection_set, depth, times)
                case FragmentSpreadNode() if one.name.value in self.fragments:
                    self.add(self.fragments[one.name.value].selection_set, depth + 1, times)
                case _:
                    pass

    def _size(self, node: FieldNode) -> int:
        usual = LISTS.get(node.name.value)
        if usual is None:
            return 1
        for argument in node.arguments or ():
            value: object = None
            if isinstance(argument.value, IntValueNode):
                value = int(argument.value.value[:9])
            if isinstance(argument.value, VariableNode):
                value = self.variables.get(argument.value.name.value)
            if argument.name.value == "first" and isinstance(value, int):
                return min(max(value, 1), MOST)
            if argument.name.value == "representations" and isinstance(value, list):
                return max(len(value), 1)
        return usual


async def _found(context: Context, name: str) -> EventSchema | None:
    try:
        return EventSchema(
            name=strawberry.ID(name), known=await context.registry.versions(context.store_id, name)
        )  # fmt: skip
    except Missing:
        return None


def _size(first: int) -> int:
    return min(max(first, 1), MOST)
