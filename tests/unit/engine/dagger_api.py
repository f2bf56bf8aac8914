"""Dagger's API without an engine: the schema as the installed SDK has it, and a session that records queries.

The SDK ships no schema, but every method of its generated client names a field, its arguments and their types; read
back, they are one. A query that is right by it is one the SDK can send.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import dagger
import gql
import graphql
from dagger.client import gen
from dagger.client._session import BaseConnection, ClientSession

_SCALARS = {
    "str": graphql.GraphQLString,
    "int": graphql.GraphQLInt,
    "float": graphql.GraphQLFloat,
    "bool": graphql.GraphQLBoolean,
}
_GIVEN = "loadDirectoryFromID"


@cache
def schema() -> graphql.GraphQLSchema:
    """Return the schema of the installed SDK."""
    return _Reader(ast.parse(inspect.getsource(gen))).schema()


class _Reader:
    """Reads the generated client into a schema."""

    def __init__(self, tree: ast.Module) -> None:
        self._classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self._types: dict[str, Any] = {}
        self._node = graphql.GraphQLInterfaceType("Node", {"id": graphql.GraphQLField(graphql.GraphQLID)})

    def schema(self) -> graphql.GraphQLSchema:
        objects = [self._type(name) for name, node in self._classes.items() if self._kind(node) == "Type"]
        return graphql.GraphQLSchema(query=self._type("Query"), types=objects)

    def _kind(self, node: ast.ClassDef) -> str:
        return ast.unparse(node.bases[0]) if node.bases else ""

    def _type(self, name: str) -> Any:
        if name not in self._types:
            self._types[name] = self._made(name)
        return self._types[name]

    def _made(self, name: str) -> Any:
        if name in _SCALARS:
            return _SCALARS[name]
        node = self._classes[name]
        match self._kind(node):
            case "Scalar":
                return graphql.GraphQLScalarType(name)
            case "Enum":
                members = [entry.targets[0] for entry in node.body if isinstance(entry, ast.Assign)]
                return graphql.GraphQLEnumType(name, {ast.unparse(one): ast.unparse(one) for one in members})
            case "Input":
                entries = [entry for entry in node.body if isinstance(entry, ast.AnnAssign)]
                return graphql.GraphQLInputObjectType(
                    name,
                    lambda: {
                        ast.unparse(entry.target): graphql.GraphQLInputField(self._hint(entry.annotation, name))
                        for entry in entries
                    },
                )
            case "Protocol":
                return graphql.GraphQLID
            case _:
                own = [] if name == "Query" else [self._node]
                return graphql.GraphQLObjectType(name, lambda: dict(self._fields(node)), own)

    def _fields(self, node: ast.ClassDef) -> Iterator[tuple[str, graphql.GraphQLField]]:
        for method in node.body:
            if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            found = self._field(method, node.name)
            if found:
                yield found
        if node.name == "Query":
            yield "node", graphql.GraphQLField(self._node, {"id": graphql.GraphQLArgument(graphql.GraphQLID)})

    def _field(
        self, method: ast.FunctionDef | ast.AsyncFunctionDef, owner: str
    ) -> tuple[str, graphql.GraphQLField] | None:
        hints = {one.arg: one.annotation for one in (*method.args.args, *method.args.kwonlyargs)}
        name, arguments, synced = "", {}, False
        for call in (node for node in ast.walk(method) if isinstance(node, ast.Call)):
            called = ast.unparse(call.func)
            words = [one.value for one in call.args if isinstance(one, ast.Constant)]
            if called == "Arg":
                hint = next(hints[one.id] for one in ast.walk(call) if isinstance(one, ast.Name) and one.id in hints)
                assert hint is not None
                arguments[str(words[0])] = graphql.GraphQLArgument(self._hint(hint, owner, argument=True))
            elif called == "self._select":
                name = name or str(words[0])
            elif called == "self._ctx.execute_sync":
                name, synced = str(words[0]), True
        if not name or method.returns is None:
            return None
        made = graphql.GraphQLID if synced or name == "id" else self._hint(method.returns, owner)
        return name, graphql.GraphQLField(made, arguments)

    def _hint(self, hint: ast.expr, owner: str, *, argument: bool = False) -> Any:
        """Return the GraphQL type of an annotation; what may be None may be left out."""
        if isinstance(hint, ast.Constant) and isinstance(hint.value, str):
            return self._hint(ast.parse(hint.value, mode="eval").body, owner, argument=argument)
        if isinstance(hint, ast.BinOp):
            found = self._hint(hint.left, owner, argument=argument)
            return found.of_type if isinstance(found, graphql.GraphQLNonNull) else found
        if isinstance(hint, ast.Subscript):
            return graphql.GraphQLNonNull(graphql.GraphQLList(self._hint(hint.slice, owner, argument=argument)))
        name = owner if ast.unparse(hint) == "Self" else ast.unparse(hint)
        found = self._type(name) if name not in {"Type", "Syncer", "Node", "Exportable"} else graphql.GraphQLID
        if argument and isinstance(found, graphql.GraphQLObjectType):
            found = graphql.GraphQLID
        return graphql.GraphQLNonNull(found)


@dataclass
class Recorded:
    """The queries of a session, as they are sent; each that asks for an id is answered with its number."""

    queries: list[str] = field(default_factory=list)
    raises: Exception | None = None

    async def get_schema(self) -> graphql.GraphQLSchema:
        """Return what queries are made by."""
        return schema()

    async def execute(self, request: gql.GraphQLRequest) -> Any:
        """Check a query and answer it."""
        if self.raises:
            raise self.raises
        errors = graphql.validate(schema(), request.document)
        assert not errors, f"{graphql.print_ast(request.document)}\n{errors}"
        (operation,) = request.document.definitions
        assert isinstance(operation, graphql.OperationDefinitionNode)
        (first,) = operation.selection_set.selections
        assert isinstance(first, graphql.FieldNode)
        if first.name.value == _GIVEN and len(_path(first)) == 2:
            (argument,) = first.arguments or ()
            assert isinstance(argument.value, graphql.StringValueNode)
            return _answer(_path(first), argument.value.value)
        text = graphql.print_ast(request.document)
        if text not in self.queries:
            self.queries.append(text)
        leaf: Any = f"result {self.queries.index(text) + 1}"
        return _answer(_path(first), leaf)


def _path(node: graphql.FieldNode) -> list[str]:
    names = [node.name.value]
    while node.selection_set:
        (below,) = node.selection_set.selections
        if isinstance(below, graphql.InlineFragmentNode):
            assert below.selection_set
            (below,) = below.selection_set.selections
        assert isinstance(below, graphql.FieldNode)
        node = below
        names.append(node.name.value)
    return names


def _answer(path: list[str], leaf: Any) -> Any:
    for name in reversed(path):
        leaf = {name: leaf}
    return leaf


class _Connection(BaseConnection):
    def __init__(self, session: Any) -> None:
        self.session: ClientSession = session


def recording(session: Recorded) -> dagger.Client:
    """Return a client whose queries go to `session`."""
    client: dagger.Client = dagger.Client.from_connection(_Connection(session))
    return client
