"""Where each vector of a new collection comes from.

Rule: every vector name of the live collection must be accounted for before anything is built. A
name is made (by a model or by the server), comes with the record, is carried over from the live
point with the same id, or is dropped because the index file says so. If points of the live
collection have a vector whose name is not accounted for, the deployment is refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from qdrant_rollouts.core.collections.schema import embedded_vector, made_names, vector_names
from qdrant_rollouts.core.config.index_file import (
    CarriedSpec,
    EmbeddingSpec,
    IndexSpec,
    ModelVectorSpec,
    ServerVectorSpec,
)
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Schema

#: What happens to a carried vector if the record has changed.
WhenChanged = Literal["drop", "refuse"]


#: The parts of a plan that are only names.
_SETS = ("given", "optional", "copied", "dropped")


@dataclass(frozen=True, slots=True)
class VectorPlan:
    """Each vector name is in one of these; ``""`` is the unnamed vector.

    ``given``: every record brings it. ``optional``: a record may bring it. ``copied``: a point of
    the source collection keeps it as it is, if it has it. ``carried``: the live point has it.
    """

    made: Mapping[str, EmbeddingSpec] = field(default_factory=dict)
    server_made: Mapping[str, ServerVectorSpec] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    copied: frozenset[str] = frozenset()
    carried: Mapping[str, WhenChanged] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()

    @property
    def templates(self) -> dict[str, str]:
        """Returns the text template of every vector that is made, by vector name."""
        return {
            **{name: spec.text for name, spec in self.made.items()},
            **{name: spec.text for name, spec in self.server_made.items()},
        }

    def taken_from_points(self, vectors: Mapping[str, Any]) -> dict[str, Any]:
        """Returns those of a source point's vectors that are copied unchanged."""
        wanted = self.taken - self.carried.keys()
        return {name: vector for name, vector in vectors.items() if name in wanted}

    def as_state(self) -> dict[str, Any]:
        """Returns the plan as JSON, so that the step that created the collection can pass it on."""
        return {
            "made": {name: spec.model_dump(mode="json") for name, spec in self.made.items()},
            "server_made": {
                name: spec.model_dump(mode="json") for name, spec in self.server_made.items()
            },
            **{word: sorted(getattr(self, word)) for word in _SETS},
            "carried": dict(self.carried),
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "VectorPlan":
        server_made = state.get("server_made", {})
        return cls(
            made={
                name: EmbeddingSpec.model_validate(spec)
                for name, spec in state.get("made", {}).items()
            },
            server_made={
                name: ServerVectorSpec.model_validate(spec) for name, spec in server_made.items()
            },
            carried=dict(state.get("carried", {})),
            **{word: frozenset(state.get(word, ())) for word in _SETS},
        )

    @property
    def origins(self) -> dict[str, str]:
        """Returns where each vector comes from, as a word or by its model, for people."""
        return {
            **{name: spec.model for name, spec in self.made.items()},
            **{name: spec.server for name, spec in self.server_made.items()},
            **{name: word for word in _SETS for name in getattr(self, word)},
            **dict.fromkeys(self.carried, "carried"),
        }

    @property
    def taken(self) -> frozenset[str]:
        """Returns the vector names that are not made from a text."""
        return self.kept - self.templates.keys()

    @property
    def kept(self) -> frozenset[str]:
        """Returns every vector name of the new collection."""
        return frozenset(
            {*self.made, *self.server_made, *self.given, *self.optional, *self.copied}
            | self.carried.keys()
        )


def plan_vectors(
    spec: IndexSpec,
    live: Schema | None,
    source: Schema | None,
    count_live: Callable[[str], int],
    live_name: str | None = None,
) -> VectorPlan:
    """Returns the plan for one deployment.

    ``live`` is the schema of the collection behind the alias, ``source`` that of a collection (or
    unpacked backup) the records come from; None if there is none. ``count_live`` returns the number
    of live points that have a vector name. Raises Refused for names not accounted for, and for a
    name that both `embedding` and `vectors` declare.
    """
    model = live or source
    plan = _plan_declared(spec, model)
    names = set(vector_names(model)) if model else set()
    undeclared = names - plan.kept - plan.dropped
    if source is not None:
        copied = undeclared & set(vector_names(source))
        plan = _replace_sets(plan, copied=plan.copied | copied)
        undeclared -= copied
    elif not spec.vectors and spec.embedding is None:
        # Points of collections with several vectors may lack some of them.
        word = "given"
        if len(undeclared) > 1:
            word = "copied"
        plan = _replace_sets(plan, **{word: getattr(plan, word) | undeclared})
        undeclared = set()
    counts = {name: count_live(name) for name in sorted(undeclared)} if live else {}
    lost = {name: count for name, count in counts.items() if count}
    if lost:
        raise Refused(_describe_unaccounted(lost, live_name or "the live collection", plan))
    return _replace_sets(plan, optional=plan.optional | undeclared)


def read_plan(spec: IndexSpec, vectors: Mapping[str, Any] | None, vector: str) -> VectorPlan:
    """The plan that was handed on as ``vectors``; a release that knew a single one handed on its
    name, ``vector``."""
    if vectors is not None:
        return VectorPlan.of_state(vectors)
    if spec.embedding is None:
        return VectorPlan(given=frozenset({vector}))
    return VectorPlan(made={vector: spec.embedding})


def made_by_models(spec: IndexSpec, model: Schema) -> dict[str, EmbeddingSpec]:
    """Returns what a model makes according to the index file, by the vector names of ``model``.
    Raises Refused as ``plan_vectors``."""
    return dict(_plan_declared(spec, model).made)


def embedded_name(spec: IndexSpec, model: Schema | None) -> str:
    """Returns the vector name that `embedding` makes: the declared one, else the only dense one."""
    assert spec.embedding is not None
    named = spec.embedding.vector
    if model is None:
        return named
    if not spec.vectors:
        if named and named not in vector_names(model):
            there = ", ".join(name or "the unnamed one" for name in made_names(model)) or "none"
            raise Refused(
                f"the live collection has no vector {named}: embedding.vector may be {there}; to "
                "add a "
                "vector beside them, declare each in `vectors`"
            )
        return embedded_vector(model, named, "the live collection")
    if named:
        return named
    names = [name for name in made_names(model) if name not in spec.vectors]
    if len(names) > 1:
        raise Refused(f"there are vectors {', '.join(names)}; say which in embedding.vector")
    return names[0] if names else ""


def _plan_declared(spec: IndexSpec, model: Schema | None) -> VectorPlan:
    """Returns what the index file says about each name, before anything is concluded from a
    schema."""
    made: dict[str, EmbeddingSpec] = {}
    server_made: dict[str, ServerVectorSpec] = {}
    carried: dict[str, WhenChanged] = {}
    words: dict[str, set[str]] = {"given": set(), "optional": set(), "dropped": set()}
    for name, said in spec.vectors.items():
        if isinstance(said, ModelVectorSpec):
            made[name] = next(model for model in spec.models if model.vector == name)
        elif isinstance(said, ServerVectorSpec):
            server_made[name] = said
        elif isinstance(said, CarriedSpec):
            carried[name] = said.carried.when_changed
        elif said == "carried":
            carried[name] = "refuse"
        else:
            words[said].add(name)
    if spec.embedding is not None:
        name = embedded_name(spec, model)
        if name in spec.vectors:
            raise Refused(
                f"vector {name or 'without a name'} is declared twice: by embedding and in vectors"
            )
        made[name] = spec.embedding
    return VectorPlan(
        made=made,
        server_made=server_made,
        carried=carried,
        given=frozenset(words["given"]),
        optional=frozenset(words["optional"]),
        dropped=frozenset(words["dropped"]),
    )


def _replace_sets(plan: VectorPlan, **changed: frozenset[str] | set[str]) -> VectorPlan:
    values = {name: getattr(plan, name) for name in VectorPlan.__dataclass_fields__}
    return VectorPlan(**values | {name: frozenset(value) for name, value in changed.items()})


def _describe_unaccounted(lost: Mapping[str, int], live: str, plan: VectorPlan) -> str:
    """Describes what would be lost, and the lines that declare what should happen to it."""
    told = ", ".join(f"{name or 'unnamed'} ({count:,} points)" for name, count in lost.items())
    template = next(iter(plan.templates.values()), "{text}").replace("\n", "\\n")
    lines = "\n".join(f"    {_yaml_key(name)}: carried" for name in lost)
    first = _yaml_key(next(iter(lost)))
    return (
        f"{live} has vectors that the index file does not account for, and the new collection "
        f"would lose them: {told}. Declare what happens to each, one line per name:\n"
        f"  vectors:\n{lines}\n"
        f"Instead of `carried` (copied from the live point with the same id) write `given` (each "
        f"record brings it), `optional`, `dropped`, or how it is made: "
        f'`{first}: {{model: …, text: "{template}"}}` or, for keywords, '
        f'`{first}: {{server: qdrant/bm25, text: "{template}"}}`'
    )


def _yaml_key(name: str) -> str:
    return name or '""'
