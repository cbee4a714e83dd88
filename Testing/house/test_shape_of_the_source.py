"""House rules about size, names and documentation; beside each rule the proof that it can fail."""

import ast
from collections.abc import Callable, Iterator, Mapping

import pytest

LONGEST_FILE = 330
MOST_STATEMENTS = 40
MOST_PARAMETERS = 6
MEANINGLESS_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}

FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, FUNCTION))


def statements_in(function: ast.AST) -> int:
    """Statements of a function without its docstring; a nested function counts as one, since it is counted itself."""
    count = 0
    for node in ast.iter_child_nodes(function):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        count += isinstance(node, ast.stmt) and not is_text
        if not isinstance(node, FUNCTION):
            count += statements_in(node)
    return count


def functions_too_long(tree: ast.Module) -> list[str]:
    return [function.name for function in functions(tree) if statements_in(function) > MOST_STATEMENTS]


def functions_with_too_many_parameters(tree: ast.Module) -> list[str]:
    found = []
    for function in functions(tree):
        given = function.args
        names = [parameter.arg for parameter in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        if len([name for name in names if name not in ("self", "cls")]) > MOST_PARAMETERS:
            found.append(function.name)
    return found


def public_without_docstring(tree: ast.Module, prefix: str = "") -> list[str]:
    """Public functions, classes and methods that do not say what they are for."""
    found = []
    for node in tree.body:
        if not isinstance(node, FUNCTION | ast.ClassDef) or node.name.startswith("_"):
            continue
        is_variant = any(
            "overload" in ast.unparse(line) or ".setter" in ast.unparse(line) for line in node.decorator_list
        )
        if not ast.get_docstring(node) and not is_variant:
            found.append(prefix + node.name)
        if isinstance(node, ast.ClassDef):
            found += public_without_docstring(ast.Module(node.body, []), f"{node.name}.")
    return found


def meaningless_parts(path: str) -> set[str]:
    return MEANINGLESS_NAMES.intersection(path.removesuffix(".py").split("/"))


def offences(trees: Mapping[str, ast.Module], rule: Callable[[ast.Module], list[str]]) -> list[str]:
    return [f"{path}: {offence}" for path, tree in trees.items() for offence in rule(tree)]


def last_line(tree: ast.Module) -> int:
    return max((node.end_lineno or 0 for node in tree.body), default=0)


def test_files_are_short(product: Mapping[str, ast.Module]) -> None:
    assert {path: last_line(tree) for path, tree in product.items() if last_line(tree) > LONGEST_FILE} == {}


def test_functions_are_short(product: Mapping[str, ast.Module]) -> None:
    assert offences(product, functions_too_long) == []


def test_functions_take_few_parameters(product: Mapping[str, ast.Module]) -> None:
    assert offences(product, functions_with_too_many_parameters) == []


def test_what_is_public_is_documented(product: Mapping[str, ast.Module]) -> None:
    assert offences(product, public_without_docstring) == []


def test_modules_are_named_after_what_they_hold(all_python: Mapping[str, ast.Module]) -> None:
    assert [path for path in all_python if meaningless_parts(path)] == []


def test_the_rules_have_something_to_read(product: Mapping[str, ast.Module]) -> None:
    assert {"dev.py", "src/cisfa/cli/main.py", "src/cisfa/imaging/geometry.py"} <= product.keys()


def test_the_length_of_a_file_is_counted_to_its_last_line() -> None:
    assert last_line(ast.parse("a = 1\n" * (LONGEST_FILE + 1))) == LONGEST_FILE + 1


def test_a_long_function_is_found_even_when_its_statements_are_nested() -> None:
    body = "  a = 1\n" * (MOST_STATEMENTS - 1)
    assert functions_too_long(
        ast.parse(f"def f():\n  'doc'\n  if b:\n  {body.replace(chr(10), chr(10) + '  ')}  pass")
    ) == ["f"]
    assert functions_too_long(ast.parse(f"def f():\n  'doc'\n{body}  pass")) == []


def test_a_nested_function_is_not_counted_twice() -> None:
    inner = "    a = 1\n" * MOST_STATEMENTS
    assert functions_too_long(ast.parse(f"def f():\n  def g():\n{inner}")) == []


def test_a_seventh_parameter_is_found_wherever_it_stands() -> None:
    assert functions_with_too_many_parameters(ast.parse("def f(a, b, c, d, *, e, f, g): ...")) == ["f"]
    assert functions_with_too_many_parameters(ast.parse("def f(self, a, b, c, d, *, e, f): ...")) == []


@pytest.mark.parametrize(
    ("snippet", "found"),
    [
        ("def f(): ...", ["f"]),
        ("def f():\n  'What for.'", []),
        ("def _f(): ...", []),
        ("class C:\n  'What for.'\n  def m(self): ...", ["C.m"]),
        ("class C:\n  'What for.'\n  def __len__(self): ...", []),
        ("class C:\n  def m(self):\n    'What for.'", ["C"]),
        ("@overload\ndef f(): ...", []),
    ],
)
def test_missing_docstrings_are_found(snippet: str, found: list[str]) -> None:
    assert public_without_docstring(ast.parse(snippet)) == found


def test_a_meaningless_name_is_found_for_files_and_folders() -> None:
    assert meaningless_parts("src/cisfa/utils.py") == {"utils"}
    assert meaningless_parts("src/cisfa/common/shape.py") == {"common"}
    assert meaningless_parts("src/cisfa/commonness.py") == set()
