"""Stacking a profile on those it extends.

Theory of operation.  A chain is walked depth first and every ancestor counts once, so two vendors'
profiles that both rest on ``generic`` do not apply it twice.  Four rules then decide:

* a mapping merges into the mapping below it, key by key, to any depth;
* any other value, lists of data included, replaces the value below it;
* ``null`` withdraws what was inherited under its key;
* the entries of an *adding* key (a list of steps) join those below it; an entry with the same identity
  (`Adding` names the key that holds it, the tag for example) merges into the one it names instead.

Every key and value keeps its mark and its file through all of it.  Nothing here knows what a key means.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from mwl.mapping.written import Effective, Written
from mwl.yamldoc import Key, Mark, Place, YamlDocument

HEADER = frozenset({"profile", "extends", "status", "notes"})
"""Keys that speak of one profile alone and are not inherited."""

Adding: TypeAlias = Mapping[str, str | None]
"""Keys whose entries add up while profiles are stacked, each with the entry's key that identifies it."""


def lineage(name: str, written: Mapping[str, Written]) -> tuple[str, ...]:
    """Return *name* and all it rests on, the most general first, each once."""
    found: dict[str, None] = {}

    def visit(each: str) -> None:
        if each not in found:
            for parent in written[each].parents:
                visit(parent)
            found[each] = None

    visit(name)
    return tuple(found)


def resolve(
    name: str,
    written: Mapping[str, Written],
    *,
    adding: Adding | None = None,
    header: Collection[str] = HEADER,
) -> Effective:
    """Return the profile *name* with all it extends merged in; `KeyError` where there is none.

    *adding* names the keys whose entries add up, *header* those that are not inherited.
    """
    chain = lineage(name, written)
    merged = _Node({}, written[name].file, None, Mark(1, 1))
    for each in chain:
        node = _node(written[each].document, ())
        inherited = {key: value for key, value in node.mapping().items() if each == name or key not in header}
        merged = _merge(merged, _listed(node, inherited, adding or {}), adding or {}, top=True)
    return _flatten(merged, written[name].file, chain)


def alone(profile: Written, *, adding: Adding | None = None) -> Effective:
    """Return what one document says by itself, in the form `resolve` gives."""
    node = _node(profile.document, ())
    listed = _listed(node, node.mapping(), adding or {})
    return _flatten(
        _merge(_Node({}, profile.file, None, node.mark), listed, {}, top=True), profile.file, (profile.name,)
    )


@dataclass(frozen=True, slots=True)
class _Node:
    """A value, the file it stands in, and the marks of its key and of itself."""

    content: Any  # dict[str, _Node], list[_Node] or a scalar
    file: str
    key: Mark | None
    mark: Mark

    def mapping(self) -> dict[str, _Node]:
        return self.content if isinstance(self.content, dict) else {}

    def inner(self) -> list[tuple[Key, _Node]]:
        if isinstance(self.content, list):
            return list(enumerate(self.content))
        return list(self.mapping().items())

    def with_content(self, content: Any) -> _Node:
        return _Node(content, self.file, self.key, self.mark)


def _node(document: YamlDocument, place: Place) -> _Node:
    value: Any = document.data
    for key in place:
        value = value[key]
    if isinstance(value, dict):
        value = {key: _node(document, (*place, key)) for key in value}
    elif isinstance(value, list):
        value = [_node(document, (*place, index)) for index in range(len(value))]
    return _Node(value, document.name, document.keys.get(place), document.values[place])


def _listed(node: _Node, content: dict[str, _Node], adding: Adding) -> _Node:
    """Write a single entry of an adding key as a list of one."""
    return node.with_content(
        {
            key: value.with_content([value]) if key in adding and isinstance(value.content, dict) else value
            for key, value in content.items()
        }
    )


def _merge(under: _Node, over: _Node, adding: Adding, *, top: bool = False) -> _Node:
    result = dict(under.mapping())
    for key, value in over.mapping().items():
        below = result.get(key)
        if value.content is None and not (top and key == "vars"):
            result.pop(key, None)
        elif top and key == "vars":
            result[key] = _variables(below, value)
        elif isinstance(value.content, dict):
            result[key] = _merge(below if below and below.mapping() else value.with_content({}), value, {})
        elif top and key in adding and below and isinstance(value.content, list):
            result[key] = value.with_content(_joined(below.content, value.content, adding[key]))
        else:
            result[key] = value
    return over.with_content(result)


def _variables(below: _Node | None, over: _Node) -> _Node:
    """Variables replace one another whole; ``null`` is a variable without a default."""
    if not isinstance(over.content, dict):
        return over
    return over.with_content({**(below.mapping() if below else {}), **over.content})


def _joined(below: Sequence[_Node], over: Sequence[_Node], identity: str | None) -> list[_Node]:
    result = list(below)
    names = [_identity(entry, identity) for entry in below]
    for entry in over:
        name = _identity(entry, identity)
        if name is not None and name in names:
            index = names.index(name)
            result[index] = _merge(result[index], entry, {})
        else:
            result.append(entry)
            names.append(name)
    return result


def _identity(entry: _Node, key: str | None) -> Any:
    found = entry.mapping().get(key) if key else None
    return None if found is None else _plain(found)


def _plain(node: _Node) -> Any:
    if isinstance(node.content, dict):
        return {key: _plain(value) for key, value in node.content.items()}
    return [_plain(value) for value in node.content] if isinstance(node.content, list) else node.content


def _flatten(node: _Node, name: str, chain: tuple[str, ...]) -> Effective:
    keys: dict[Place, Mark] = {}
    values: dict[Place, Mark] = {}
    files: dict[Place, str] = {}

    def visit(each: _Node, place: Place) -> None:
        values[place], files[place] = each.mark, each.file
        if each.key:
            keys[place] = each.key
        for key, value in each.inner():
            visit(value, (*place, key))

    visit(node, ())
    return Effective(name, _plain(node), keys, values, files, chain)
