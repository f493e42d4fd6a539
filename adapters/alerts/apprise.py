"""Alerts through apprise, which reaches services of many kinds by URL; needs the extra ``apprise``.

Rule: only the services named below are allowed, which all use HTTP; others run programs, write
files or open anything. Apprise does not say why a service did not accept a message, so no failure
counts as permanent: it is tried again.
"""

import importlib
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from qdrant_rollouts.adapters.alerts import secret
from qdrant_rollouts.core.config.alert_spec import AppriseSpec
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports import Notice
from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.core.times import as_iso

_TIMEOUT = 20.0
SCHEMES = frozenset(
    {
        *(
            "discord",
            "gchat",
            "gotify",
            "gotifys",
            "json",
            "jsons",
            "matrix",
            "matrixs",
            "mmost",
            "mmosts",
            "ntfy",
        ),
        *(
            "ntfys",
            "opsgenie",
            "pagerduty",
            "pover",
            "rocket",
            "rockets",
            "signal",
            "signals",
            "slack",
            "splunk",
        ),
        *("tgram", "webex", "workflows", "wxteams", "xml", "xmls", "zulip"),
    }
)
#: What a URL must not ask for: to follow redirects, to trust any certificate, to read a file or a
#: page.
_FORBIDDEN_PARAMETERS = {"redirect", "template", "verify"}
_NOTIFY_TYPES = {Severity.INFO: "info", Severity.WARN: "warning", Severity.ERROR: "failure"}
_STATUS = re.compile(r"error=(\d{3})\b")


def notify_by_apprise(spec: AppriseSpec, notice: Notice) -> None:
    apprise = _import_apprise()
    url = secret.read_channel_secret(spec.secret)
    scheme = _check_scheme(spec, url)
    service = apprise.Apprise.instantiate(
        url, asset=_build_asset(apprise), suppress_exceptions=True
    )
    if service is None:
        raise Refused(
            f"{spec.secret} holds no URL that apprise takes for {scheme}://; see its page of that "
            "service"
        )
    sender = apprise.Apprise(asset=_build_asset(apprise))
    sender.add(service)
    kind = "success"
    if notice.state != "resolved":
        kind = _NOTIFY_TYPES[notice.severity]
    taken = sender.notify(
        body=_format_body(notice),
        title=f"[{notice.severity}] {notice.subject}",
        notify_type=kind,
        body_format="text",
        timeout=_TIMEOUT,
    )
    if not taken:
        raise Unavailable(
            f"{spec.secret} ({scheme}://): the service did not take it{_describe_failure(taken)}"
        )


def _import_apprise() -> Any:
    try:
        return importlib.import_module("apprise")
    except ImportError:
        raise Refused(
            "a channel of kind apprise needs apprise; install it with pip install "
            "'qdrant-rollouts[apprise]'"
        ) from None


def _build_asset(apprise: Any) -> Any:
    """Addresses in its log lines are masked; nothing is kept on disk."""
    asset = apprise.AppriseAsset(secure_logging=True, storage_mode="memory", allow_templates=False)
    asset.http_redirects = False
    return asset


def _check_scheme(spec: AppriseSpec, url: str) -> str:
    """Returns the URL's scheme; the rest of it contains the service's token and is not shown."""
    scheme = url.partition("://")[0].lower()
    if scheme not in SCHEMES:
        shown = "something else"
        if re.fullmatch(r"[a-z0-9]{1,20}", scheme):
            shown = scheme
        raise Refused(
            f"{spec.secret} holds a URL of {shown}; expected one of {', '.join(sorted(SCHEMES))}"
        )
    asked = _FORBIDDEN_PARAMETERS & {
        name.lower().strip() for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)
    }
    if asked:
        raise Refused(
            f"{spec.secret} holds a URL with {', '.join(sorted(asked))}=, which is not allowed; "
            "remove it"
        )
    return scheme


def _format_body(notice: Notice) -> str:
    facts = [
        *notice.lines,
        ("since", as_iso(notice.since)),
        ("state", notice.state),
        ("id", notice.id),
    ]
    return "\n".join(text if name == "text" else f"{name}: {text}" for name, text in facts)


def _describe_failure(taken: Any) -> str:
    said = [found[1] for entry in taken.logs() if (found := _STATUS.search(str(entry.message)))]
    if not said:
        return ""
    return f": it answered {said[-1]}"
