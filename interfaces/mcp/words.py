"""The core's messages to people, with what an agent can do about them.

Rule: messages name the shell command that comes next. An agent has tools and no shell, so each
command in a message is followed by the tool that does the same, or by the advice to ask a person.
"""

import re

#: The longest matching beginning of a command says what an agent does instead; for all other
#: commands it asks a person.
_TOOLS = {
    "rollouts list": "list_indexes names those under way, the resource "
    "rollouts://indexes/ALIAS/deployments the latest",
    "rollouts status": "get_deployment",
    "rollouts alias list": "list_indexes",
    "rollouts versions": "list_versions; list_indexes says which version serves",
    "rollouts rollback": "roll_back_index, if there is such a tool; else a person",
    "rollouts mark": "mark_version, if there is such a tool; else a person",
    "rollouts search": "search_with_alias",
    "rollouts plan": "plan_deployment, if there is such a tool; else a person",
    "rollouts deploy": "deploy_new_index, if there is such a tool; else a person",
}
COMMAND = re.compile(
    r"\brollouts (?:alias \w+|backup \w+|experiment \w+|schedule \w+|token \w+|alert \w+|\w+)"
)
_PERSON = "ask a person to run it, and call get_deployment or list_indexes after that"


def for_agents(text: str) -> str:
    """Returns ``text`` with what to do without a shell about each command that it names."""
    acts: dict[str, list[str]] = {}
    for command in dict.fromkeys(COMMAND.findall(text)):
        acts.setdefault(_agent_action(command), []).append(command)
    if not acts:
        return text
    said = "; ".join(f"{', '.join(commands)}: {act}" for act, commands in acts.items())
    return f"{text} (Without a shell: {said})"


def _agent_action(command: str) -> str:
    return next(
        (act for known, act in _TOOLS.items() if f"{command} ".startswith(f"{known} ")), _PERSON
    )
