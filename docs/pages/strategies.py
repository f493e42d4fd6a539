"""How to use each strategy, with its plan drawn from the steps it returns."""

import inspect

from docs.pages.markdown import fenced, first_sentence, joined, table, told
from qdrant_rollouts.core.config.index_file import IndexSpec, WritesSpec
from qdrant_rollouts.core.deployments.plan import Plan, Step
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.strategies import STRATEGIES, backup, rollback

_HEAD = """# Strategies

`python -m docs.make_reference` makes this page from `STRATEGIES` and `STEPS`. A strategy
is a function that returns a tuple of steps. The plan is stored when a deployment starts,
so later changes of the code do not affect it. `strategy` in the [index
file](../index-file.md) sets the strategy of an index, `--strategy` that of a single
deployment.
"""
#: Settings whose plans have every step.
_SPEC = IndexSpec(writes=WritesSpec(way="source"))
_COMPARES = IndexSpec(writes=WritesSpec(way="compare"))
_FURTHER = {"canary": "How a stage is judged and what it needs: [run a canary](run-canary.md)."}


def page() -> str:
    asked = [_strategy(name) for name in STRATEGIES]
    return joined(_HEAD, *asked, "## Other plans", *_others(), "## Steps", _steps())


def _strategy(name: str) -> str:
    plan = STRATEGIES[name](_SPEC)
    module = inspect.getmodule(STRATEGIES[name])
    command = f"rollouts deploy documentation --strategy {name} --wait"
    declared = f'indexes:\n  documentation: {{source: "jsonl:docs/*.jsonl", strategy: {name}}}'
    return joined(
        f"## {name}",
        told(module),
        fenced("sh", command),
        fenced("yaml", declared),
        drawn(plan),
        _FURTHER.get(name, ""),
    )


def _others() -> list[str]:
    plans = {
        "rollouts rollback ALIAS": rollback.plan_rollback(_COMPARES, now=False),
        "rollouts rollback ALIAS --now": rollback.plan_rollback(_COMPARES, now=True),
        "rollouts deploy ALIAS --source backup:ID": backup.plan_unpacking(
            STRATEGIES["blue_green"](_SPEC), "", ""
        ),
        "rollouts backup create ALIAS --keep 7": backup.plan_backup("", "", keep=7),
        "rollouts backup verify --alias ALIAS": backup.plan_verification(""),
        "rollouts backup restore --alias ALIAS": backup.plan_restore(_SPEC, ""),
    }
    return [part for call, plan in plans.items() for part in (f"`{call}`:", drawn(plan))]


def drawn(plan: Plan) -> str:
    names = [f'    {number}["{_label(step)}"]' for number, step in enumerate(plan)]
    arrows = [f"    {number} --> {number + 1}" for number in range(len(plan) - 1)]
    return fenced("mermaid", "\n".join(["flowchart LR", *names, *arrows]))


def _label(step: Step) -> str:
    share = step.arguments.get("percentage")
    return step.name if share is None else f"{step.name} {share:g} %"


def _steps() -> str:
    rows = [
        [f"`{step.name}`", _said(step), _taken_back(step), step.queue] for step in STEPS.values()
    ]
    return table(["step", "what it does", "what takes it back", "queue"], rows)


def _taken_back(step: Step) -> str:
    if step.undo is None:
        return "nothing to take back"
    return first_sentence(told(step.undo)) or step.undo.__name__.replace("_", " ")


def _said(step: Step) -> str:
    module = inspect.getmodule(step.do)
    return f"{first_sentence(told(module))} {first_sentence(told(step.do))}"
