"""The shop's Celery app: ``celery -A tasks worker``."""

import os

from celery import Celery

BROKER = os.environ.get("SHOP_BROKER_URL", "redis://localhost:6379/1")

app = Celery("shop", broker=BROKER, backend=BROKER, include=["tasks.products", "tasks.search"])
app.conf.task_default_queue = "shop"
