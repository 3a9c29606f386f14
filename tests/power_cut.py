"""What a disk may hold after a power cut: a model of folders, where what was synced is sure.

Names that were added to or taken from a folder since it was synced may be there or not, each for
itself. A file that was never synced is empty, and so is a link whose folder was not. A rename is
whole or not at all, as journals have it.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Step = tuple[str, str, str]
_Changes = dict[str, "Node | None"]  # of one step in one folder: a name's node, or that it goes


@dataclass(eq=False)
class Node:
    """A file, a link, or a folder."""

    data: bytes = b""
    target: str = ""
    known: str = ""  # the target, once it was synced
    sure: "dict[str, Node] | None" = None  # a folder's names, as of its last sync
    later: list[_Changes] = field(default_factory=list)
    now: "dict[str, Node]" = field(default_factory=dict)

    def change(self, changes: _Changes) -> None:
        """Adds names, and takes those of None."""
        self.later.append(changes)
        _apply(self.now, changes)


class Disk:
    """A folder and what is below it, at first all of it synced.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = _read(root)

    def step(self, what: str, path: str, other: str) -> None:
        """Takes a step, unless it is one that the system refuses."""
        if what == "fsync":
            node = self._node(path)
            assert node
            if node.sure is None:
                node.data = bytes.fromhex(other)
            else:
                node.sure, node.later = dict(node.now), []
                for one in node.now.values():
                    one.known = one.target
            return
        folder, name = self._node(os.path.dirname(path)), os.path.basename(path)
        if folder is None:
            return
        found = folder.now.get(name)
        if what == "rename":
            assert os.path.dirname(other) == os.path.dirname(path)
            assert found
            folder.change({name: None, os.path.basename(other): found})
        elif what in ("remove", "rmdir"):
            if found and not found.now:
                folder.change({name: None})
        elif not found:
            made = {"mkdir": Node(sure={}), "create": Node(), "symlink": Node(target=other)}
            folder.change({name: made[what]})

    def states(self) -> Iterator[dict[str, bytes | str | None]]:
        """Yields what may be there if the power goes now: by path bytes, a target, or a folder."""
        later = [id(one) for node in _below(self._root) for one in node.later]
        yield _seen(self._root, set())
        yield _seen(self._root, set(later))
        for one in later:
            yield _seen(self._root, {one})
            yield _seen(self._root, {*later} - {one})

    def _node(self, path: str) -> Node | None:
        node: Node | None = self._root
        for part in Path(path).parts:
            node = node.now.get(part) if node else None
        return node


def after(root: Path, steps: Sequence[Step]) -> Iterator[list[dict[str, bytes | str | None]]]:
    """Yields, after no step and after each, the states in which a power cut may leave a disk.

    Args:
        root: A folder as it was before.
        steps: What happens to it, by paths below it: mkdir, create, symlink with its target,
            rename with the new path, remove, rmdir, and fsync with a file's bytes in hexadecimal.
    """
    disk = Disk(root)
    for step in (None, *steps):
        if step:
            disk.step(*step)
        found: list[dict[str, bytes | str | None]] = []
        for state in disk.states():
            if state not in found:
                found.append(state)
        yield found


def write(state: dict[str, bytes | str | None], root: Path) -> None:
    """Writes a state into a new folder."""
    root.mkdir()
    for below, value in state.items():
        path = root / below
        if value is None:
            path.mkdir()
        elif isinstance(value, str):
            path.symlink_to(value)
        else:
            path.write_bytes(value)


def _read(path: Path) -> Node:
    if path.is_symlink():
        return Node(target=str(path.readlink()), known=str(path.readlink()))
    if path.is_file():
        return Node(path.read_bytes())
    found = {one.name: _read(one) for one in path.iterdir()}
    return Node(sure=dict(found), now=found)


def _below(folder: Node) -> Iterator[Node]:
    """Yields a folder and those that are or were below it."""
    yield folder
    nodes = {id(one): one for one in (*folder.now.values(), *(folder.sure or {}).values())}
    for changes in folder.later:
        nodes |= {id(one): one for one in changes.values() if one}
    for node in nodes.values():
        if node.sure is not None:
            yield from _below(node)


def _apply(names: dict[str, Node], changes: _Changes) -> None:
    for name, node in changes.items():
        if node:
            names[name] = node
        else:
            names.pop(name, None)


def _seen(folder: Node, chosen: set[int], below: str = "") -> dict[str, bytes | str | None]:
    names = dict(folder.sure or {})
    for changes in folder.later:
        if id(changes) in chosen:
            _apply(names, changes)
    found: dict[str, bytes | str | None] = {}
    for name, node in sorted(names.items()):
        path = below + name
        if node.sure is None:
            found[path] = node.known or node.data
        else:
            found[path] = None
            found |= _seen(node, chosen, f"{path}/")
    return found
