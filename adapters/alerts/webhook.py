"""Alerts as signed JSON, by the scheme of Standard Webhooks 1.0
(`github.com/standard-webhooks/standard-webhooks`), for which receivers have libraries: an HMAC with
SHA-256 over id, timestamp and the raw body, joined by dots."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import asdict

from qdrant_rollouts.adapters.alerts import posting, secret
from qdrant_rollouts.core.config.alert_spec import WebhookSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Notice
from qdrant_rollouts.core.times import as_iso

_BASE64_PREFIX = "whsec_"


def post_webhook(spec: WebhookSpec, notice: Notice) -> None:
    """The body and ``webhook-id`` are the same at every attempt; each attempt has its own
    timestamp."""
    body = encode_notice(notice)
    stamp = str(int(time.time()))
    headers = {
        "content-type": "application/json",
        "webhook-id": notice.id,
        "webhook-timestamp": stamp,
        "webhook-signature": sign_body(
            secret.read_channel_secret(spec.secret), notice.id, stamp, body
        ),
    }
    posting.post_bytes(spec.url, body, headers)


def encode_notice(notice: Notice) -> bytes:
    times = {"at": as_iso(notice.at), "since": as_iso(notice.since)}
    return json.dumps({**asdict(notice), **times}, ensure_ascii=False).encode()


def sign_body(key: str, id: str, timestamp: str, body: bytes) -> str:
    """If a key begins with ``whsec_``, the rest is base64; any other key is used as it is."""
    signed = f"{id}.{timestamp}.".encode() + body
    digest = hmac.new(_decode_key(key), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _decode_key(key: str) -> bytes:
    if not key.startswith(_BASE64_PREFIX):
        return key.encode()
    try:
        return base64.b64decode(key.removeprefix(_BASE64_PREFIX), validate=True)
    except binascii.Error as error:
        raise Refused(
            f"the webhook's key begins with {_BASE64_PREFIX} and is not base64 after it"
        ) from error
