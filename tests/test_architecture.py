"""The structure of the code: no import cycles, one meaning for each class name, small classes.

And what mypy cannot see: whether the fields that `msgspec.structs.replace` is given exist.
"""

import ast
import functools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

import amp_console
from tests.conftest import FIRST_FILES, WAITING_FILES, FilesThatWaitTogether

ROOT = Path(amp_console.__file__).parent
MAX_METHODS = 25
MAX_OWN_BASES = 2  # our own classes above a class
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
NAMES_ELSEWHERE = {
    *("context", "external_audience_id", "audience_settings"),  # in Segment's events
    *("member", "member_pending"),  # a table and its index
    *("amplitude", "disagreeing", "with"),  # a package, a field of another class, a keyword
}
REPLACE = {"replace", "dataclasses.replace", "structs.replace", "msgspec.structs.replace"}


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Every module of the product by its file, relative to the package."""
    return {
        str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(ROOT.rglob("*.py"))
    }


@functools.cache
def statements() -> list[tuple[str, ast.stmt]]:
    """Every statement of the product with the file that contains it."""
    return [
        (file, statement)
        for file, module in modules().items()
        for statement in statements_in(module)
    ]


def statements_in(block: ast.AST) -> Iterator[ast.stmt]:
    for node in ast.iter_child_nodes(block):
        if isinstance(node, ast.stmt):
            yield node
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from statements_in(node)


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    """Every class of the product with the file that defines it."""
    return ((file, node) for file, node in statements() if isinstance(node, ast.ClassDef))


def base_names(node: ast.ClassDef) -> Iterator[str]:
    for base in node.bases:
        target = base.value if isinstance(base, ast.Subscript) else base
        if isinstance(target, ast.Name):
            yield target.id
        elif isinstance(target, ast.Attribute):
            yield target.attr


def fields_by_class() -> dict[str, set[str]]:
    """The annotated fields of each class, with those of its own bases."""
    own: dict[str, set[str]] = defaultdict(set)
    bases: dict[str, set[str]] = defaultdict(set)
    for _, node in classes():
        bases[node.name] |= {*base_names(node)}
        own[node.name] |= {
            member.target.id
            for member in node.body
            if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name)
        }

    def fields(name: str) -> set[str]:
        inherited = (fields(base) for base in bases[name] if base in own and base != name)
        return own[name].union(*inherited)

    return {name: fields(name) for name in list(own)}


def test_no_module_imports_itself_through_others() -> None:
    # Imports inside functions and those for type checkers count, too.
    graph = grimp.build_graph("amp_console", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        cycle = error.args[1]
    else:
        cycle = []
    assert cycle == []


def test_a_class_name_stands_once() -> None:
    # The simulator knows nothing of the product and has words of its own.
    names = Counter(node.name for file, node in classes() if not file.startswith("simulator"))
    assert {name: count for name, count in names.items() if count > 1} == {}


def test_no_class_has_more_methods_than_a_reader_can_hold() -> None:
    sizes = {
        f"{file}: {node.name}": len(
            {
                member.name
                for member in node.body
                if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        )
        for file, node in classes()
    }
    assert {name: size for name, size in sizes.items() if size > MAX_METHODS} == {}


def test_no_class_is_a_chain_of_our_own_bases() -> None:
    bases: dict[str, set[str]] = defaultdict(set)
    for _, node in classes():
        bases[node.name] |= {*base_names(node)}

    def levels(name: str) -> int:
        own = [base for base in bases[name] if base in bases and base != name]
        return max((1 + levels(base) for base in own), default=0)

    chains = {name: levels(name) for name in list(bases)}
    assert {name: count for name, count in chains.items() if count > MAX_OWN_BASES} == {}


def test_docstrings_of_classes_name_only_what_exists() -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for _, node in classes():
        names[node.name].update(names_in(node))
    functions = {
        node.name
        for module in modules().values()
        for node in module.body
        if isinstance(node, FUNCTION)
    }
    known = functions | NAMES_ELSEWHERE
    unknown = [
        f"{file}: {node.name}: {name}"
        for file, node in classes()
        for name in re.findall(r"`([a-z_]\w*)`", ast.get_docstring(node) or "")
        if name not in known.union(*(names[own] for own in (node.name, *base_names(node))))
    ]
    assert unknown == []


def test_every_field_that_is_replaced_exists() -> None:
    """A renamed field would otherwise fail when the line first runs: any keyword suits mypy."""
    fields = fields_by_class()
    replaced = [
        (f"{file}:{call.lineno}", {keyword.arg for keyword in call.keywords if keyword.arg})
        for file, module in modules().items()
        for call in ast.walk(module)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in REPLACE
    ]
    assert len(replaced) > 50
    unknown = {
        place: names
        for place, names in replaced
        if not any(names <= known for known in fields.values())
    }
    assert unknown == {}


def test_no_event_loop_waits_for_a_lock_of_a_ledger() -> None:
    """A server may be silent for a minute: async code takes its locks with `Ledger.ahold`."""
    found = [
        f"{file}: {function.name}"
        for file, function in statements()
        if isinstance(function, ast.AsyncFunctionDef)
        for block in statements_in(function)
        if isinstance(block, ast.With)
        for item in block.items
        if called(item.context_expr) in {"lease", "hold_run", "hold_source"}
    ]
    assert found == []


def test_files_that_wait_are_one_worker_s_and_those_that_come_first_exist() -> None:
    scheduling = object.__new__(FilesThatWaitTogether)
    files = [f"tests/{name}" for name in FIRST_FILES]
    assert [file for file in files if not (ROOT.parent / file).exists()] == []
    scopes = {file: scheduling._split_scope(f"{file}::test_one[::]") for file in files}
    together = Counter(scopes.values()).most_common(2)
    assert together == [("waiting", len(WAITING_FILES)), (files[len(WAITING_FILES)], 1)]


def names_in(node: ast.ClassDef) -> Iterator[str]:
    """The names and the words of texts in a class, without docstrings."""
    docstrings = {part.value for part in ast.walk(node) if isinstance(part, ast.Expr)}
    for part in ast.walk(node):
        match part:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Constant(value=str(text)) if part not in docstrings:
                yield from re.findall(r"\w+", text)


def called(node: ast.expr) -> str | None:
    """The name of the method that an expression calls."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr
    return None
