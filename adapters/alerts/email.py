"""Alerts by e-mail, over SMTP. ``Message-ID`` is the notice's id, so that a mailbox can recognise a
repetition."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage

from qdrant_rollouts.adapters.alerts import secret
from qdrant_rollouts.core.config.alert_spec import EmailSpec
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports import Notice
from qdrant_rollouts.core.times import as_iso

_TIMEOUT = 10.0


def send_email(spec: EmailSpec, notice: Notice) -> None:
    password = None
    if spec.secret is not None:
        password = secret.read_channel_secret(spec.secret, ascii_only=True)
    try:
        with _connect_server(spec) as server:
            if spec.username is not None and password is not None:
                server.login(spec.username, password)
            _check_recipients(spec, server.send_message(build_message(spec, notice)))
    except (smtplib.SMTPException, OSError) as error:
        kind = Refused if _is_permanent(error) else Unavailable
        raise kind(
            f"{spec.host}:{spec.port} did not take the mail: {type(error).__name__}"
        ) from error


def build_message(spec: EmailSpec, notice: Notice) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"] = spec.sender, ", ".join(spec.to)
    mail["Subject"] = _one_line(f"[{notice.severity}] {notice.subject}")
    mail["Message-ID"] = f"<{notice.id}@qdrant-rollouts>"
    mail["Date"] = notice.at
    facts = [
        *notice.lines,
        ("since", as_iso(notice.since)),
        ("state", notice.state),
        ("id", notice.id),
    ]
    mail.set_content(
        "\n".join(text if name == "text" else f"{name}: {text}" for name, text in facts) + "\n"
    )
    return mail


@contextmanager
def _connect_server(spec: EmailSpec) -> Iterator[smtplib.SMTP]:
    context = ssl.create_default_context()
    if spec.security == "tls":
        with smtplib.SMTP_SSL(spec.host, spec.port, timeout=_TIMEOUT, context=context) as server:
            yield server
        return
    with smtplib.SMTP(spec.host, spec.port, timeout=_TIMEOUT) as server:
        if spec.security == "starttls":
            server.starttls(context=context)
        yield server


def _is_permanent(error: Exception) -> bool:
    """Answers from 500 on are permanent (RFC 5321, 4.2.1)."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500


def _check_recipients(spec: EmailSpec, refused: dict[str, tuple[int, bytes]]) -> None:
    if refused:
        raise Refused(
            f"{spec.host}:{spec.port} refused {', '.join(sorted(refused))}; the others have it"
        )


def _one_line(text: str) -> str:
    return " ".join(text.split())
