"""The nightly training of every store."""

from datetime import timedelta

from recoup.kit.service import Job
from recoup.services.ai.training.actions import Training


def nightly(training: Training, cron: str) -> Job:
    return Job(name="train", cron=cron, run=training.train_all, timeout=timedelta(hours=2))
