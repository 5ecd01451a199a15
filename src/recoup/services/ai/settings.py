"""Settings of the ai service, each with its default. Read by the command line only."""

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `ai`."""

    gather_seconds: float = 0.5
    """How long enriched events pile up before a batch is taken; a prediction is late by that much."""
    models_in_memory: int = 10
    """Trained models kept loaded; the one longest unused goes first."""
    registry_seconds: float = 2.0
    """How soon a model deployed elsewhere is noticed. Until then the one before serves on."""
    predict_batch: int = 10_000
    """Most carts in one request for predictions."""
    training_min_rows: int = 500
    """Fewer decided carts with a known outcome are too few to train on."""
    training_min_positives: int = 50
    """Fewer orders among them are too few as well."""
    training_max_rows: int = 1_000_000
    """The newest so many rows are trained on."""
    training_seconds: float = 600.0
    """A training that takes longer is stopped."""
    training_cron: str = "30 3 * * *"
    """When every store's model is trained again, in UTC."""
