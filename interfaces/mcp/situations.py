"""The situation of a deployment, as a model reads it."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from qdrant_rollouts.interfaces.mcp.words import for_agents


class Situation(BaseModel):
    now: str = Field(description="What happens now; or why it did not go live")
    since: list[str] = Field(description="Since when")
    until: str = Field(description="When it ends, or what ends it")
    needed: str = Field(description="What a person must do")
    person: bool = Field(description="Whether it waits for that person")
    advice: str = Field(description="How the cause can be mended; empty if nobody must")
    back: str = Field(description="How to return to the version before; empty if it cannot be said")


def build_situation(found: Mapping[str, Any]) -> Situation:
    kept = f", until {found['kept_until']}" if found["kept_until"] else ""
    until = found["until"]
    if found["ended"]:
        until = f"it ended at {found['ended']}"
    elif found["low"]:
        until = f"it ends between {found['low']} and {found['high']}"
    return Situation(
        now=for_agents(found["now"]),
        since=[f"{one['what']} {one['at']}" for one in found["since"]],
        until=until,
        needed=for_agents(found["needed"]),
        person=found["person"],
        advice=for_agents(found["advice"]),
        back=for_agents(f"{found['back']}{kept}" if found["back"] else ""),
    )
