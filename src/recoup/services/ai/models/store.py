"""The registry in PostgreSQL: models, which is live, and the history of that. Artefacts are files named by digest."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from recoup.kit.errors import Conflict, Missing
from recoup.kit.postgres import Postgres, Session
from recoup.services.ai.models.domain import Model, Status

_COLUMNS: Final = (
    "version, store_id, status, created_at, artifact_digest, training_digest, features_digest, features, metrics,"
    " champion, champion_version, verdict"
)
_OF_STORE: Final = f"select {_COLUMNS} from models where store_id = $1"  # noqa: S608 - our own list of columns


class Deployed(Struct, frozen=True, kw_only=True):
    """One line of the history: from then on this version was live. `prior` names the hand-set model."""

    version: str
    at: datetime
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Store:
    """Models by store."""

    postgres: Postgres

    async def models(self, store_id: str, limit: int) -> list[Model]:
        """Newest first."""
        return await self.postgres.rows(Model, _OF_STORE + " order by created_at desc limit $2", store_id, limit)

    async def model(self, store_id: str, version: str) -> Model:
        """Raises Missing for a version this store doesn't have."""
        found = await self.postgres.find(Model, _OF_STORE + " and version = $2", store_id, version)
        if found is None:
            raise Missing(f"no model {version!r}")
        return found

    async def find_live(self, store_id: str) -> Model | None:
        """None while the prior serves."""
        return await self.postgres.find(Model, _OF_STORE + " and status = 'live'", store_id)

    async def history(self, store_id: str, limit: int) -> list[Deployed]:
        """What was live when, by whom and why; newest first."""
        return await self.postgres.rows(
            Deployed, "select version, at, by, why from model_history where store_id = $1 order by id desc limit $2",
            store_id, limit,
        )  # fmt: skip

    async def register(self, model: Model, *, by: str) -> None:
        """Adds a trained model; one that comes as live takes over at once. The same version again changes nothing."""
        async with self.postgres.transaction() as session:
            added = await session.execute(
                f"insert into models ({_COLUMNS}) values"  # noqa: S608 - our own list of columns
                " ($1, $2, 'candidate', $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict (version) do nothing",
                model.version, model.store_id, model.created_at, model.artifact_digest, model.training_digest,
                model.features_digest, model.features, model.metrics, model.champion, model.champion_version,
                model.verdict,
            )  # fmt: skip
            if not added:
                return
            if model.status is Status.LIVE:
                await _put_live(session, model, at=model.created_at, by=by, why=model.verdict)
            else:
                await session.execute("update models set status = $2 where version = $1", model.version, model.status)

    async def deploy(self, store_id: str, version: str, *, at: datetime, by: str, why: str) -> Model:
        """Makes a version live; raises Missing for an unknown one, Conflict for one that was refused."""
        model = await self.model(store_id, version)
        if model.status is Status.REFUSED:
            raise Conflict(f"model {version!r} was refused: {model.verdict}")
        async with self.postgres.transaction() as session:
            await _put_live(session, model, at=at, by=by, why=why)
        return await self.model(store_id, version)

    async def retire_live(self, store_id: str, *, at: datetime, by: str, why: str) -> None:
        """Lets the prior serve again."""
        async with self.postgres.transaction() as session:
            await session.execute(
                "update models set status = 'retired' where store_id = $1 and status = 'live'", store_id
            )
            await _note(session, store_id, "prior", at=at, by=by, why=why)


async def _put_live(session: Session, model: Model, *, at: datetime, by: str, why: str) -> None:
    await session.execute(
        "update models set status = 'retired' where store_id = $1 and status = 'live' and version <> $2",
        model.store_id, model.version,
    )  # fmt: skip
    changed = await session.execute(
        "update models set status = 'live' where version = $1 and store_id = $2 and status <> 'live'",
        model.version, model.store_id,
    )  # fmt: skip
    if changed:
        await _note(session, model.store_id, model.version, at=at, by=by, why=why)


async def _note(session: Session, store_id: str, version: str, *, at: datetime, by: str, why: str) -> None:
    await session.execute(
        "insert into model_history (store_id, version, at, by, why) values ($1, $2, $3, $4, $5)",
        store_id, version, at, by, why,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Model files in a folder, named by what is in them: a file never changes, and a damaged one is noticed."""

    folder: Path

    def keep(self, content: bytes) -> str:
        """The digest under which the content is kept."""
        digest = hashlib.sha256(content).hexdigest()
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / f"{digest}.onnx"
        if not target.exists():
            unfinished = target.with_suffix(".part")
            unfinished.write_bytes(content)
            unfinished.replace(target)
        return digest

    def content(self, digest: str) -> bytes:
        """Raises Missing where there is no such file, or another content in it."""
        path = self.folder / f"{digest}.onnx"
        content = path.read_bytes() if path.exists() else b""
        if hashlib.sha256(content).hexdigest() != digest:
            raise Missing(f"the file of model artefact {digest[:12]} is missing or damaged")
        return content
