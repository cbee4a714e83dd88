"""House rules about what goes wrong on somebody else's computer; beside each rule the proof that it can fail."""

import ast
import re
from collections.abc import Callable, Iterator, Mapping

import pytest

Trees = Mapping[str, ast.Module]

POSIX_ONLY_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}
POSIX_ONLY_NAMES = {
    "os": {"fork", "forkpty", "getegid", "geteuid", "getgid", "getpgid", "getuid", "killpg", "mkfifo", "nice"}
    | {"sched_getaffinity", "setpgid", "setsid", "sysconf", "uname", "wait", "WNOHANG"},
    "signal": {"SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGUSR1", "SIGUSR2", "alarm", "pause"},
}
ASKS_WHICH_SYSTEM = re.compile(r"\bos\.name\b|\bsys\.platform\b|\bhasattr\(")
TEXT_MODE = re.compile(r"[rwax]\+?t?")


def asserts(tree: ast.Module) -> list[int]:
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


def prints(tree: ast.Module) -> list[int]:
    return [call.lineno for call in calls(tree) if isinstance(call.func, ast.Name) and call.func.id == "print"]


def swallowed_errors(tree: ast.Module) -> list[int]:
    """Bare excepts, and handlers of every Exception that do nothing about it."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        is_everything = node.type is not None and ast.unparse(node.type) in ("Exception", "BaseException")
        does_nothing = all(isinstance(line, ast.Pass | ast.Continue) or is_ellipsis(line) for line in node.body)
        if node.type is None or (is_everything and does_nothing):
            found.append(node.lineno)
    return found


def is_ellipsis(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and line.value.value is ...


def posix_only(tree: ast.Module) -> list[int]:
    """Calls that Windows lacks, where neither the function nor the statement around them asks which system it is."""
    return [line for statement in tree.body for line in posix_only_in(statement)]


def posix_only_in(statement: ast.AST) -> list[int]:
    if isinstance(statement, ast.ClassDef):
        return [line for inner in statement.body for line in posix_only_in(inner)]
    found = [node.lineno for node in ast.walk(statement) if is_posix_only(node)]
    return [] if ASKS_WHICH_SYSTEM.search(ast.unparse(statement)) else found


def is_posix_only(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            return name in POSIX_ONLY_NAMES.get(module, ())
        case ast.ImportFrom(module=str(module), names=names):
            wanted = {alias.name for alias in names}
            return module in POSIX_ONLY_MODULES or bool(wanted & POSIX_ONLY_NAMES.get(module, set()))
        case ast.Import(names=names):
            return any(alias.name in POSIX_ONLY_MODULES for alias in names)
    return False


def text_without_encoding(tree: ast.Module) -> list[int]:
    """Text that is read or written in whatever encoding the computer happens to prefer."""
    return [call.lineno for call in calls(tree) if handles_text(call) and not has_encoding(call)]


def handles_text(call: ast.Call) -> bool:
    mode = next((word.value for word in call.keywords if word.arg == "mode"), None)
    match call.func:
        case ast.Name(id="open"):
            mode = mode or (call.args[1] if len(call.args) > 1 else ast.Constant("r"))
            return is_text_mode(mode)
        case ast.Attribute(value=ast.Name(id="self"), attr="open"):
            return False  # a method of ours
        case ast.Attribute(attr="open"):
            mode = mode or (call.args[0] if call.args else ast.Constant("r"))
            return is_text_mode(mode)
        case ast.Attribute(attr="read_text" | "write_text"):
            return True
    switches = {word.arg for word in call.keywords if isinstance(word.value, ast.Constant) and word.value.value is True}
    return bool(switches & {"text", "universal_newlines"}) and "subprocess" in ast.unparse(call.func)


def is_text_mode(mode: ast.AST) -> bool:
    return (
        isinstance(mode, ast.Constant) and isinstance(mode.value, str) and TEXT_MODE.fullmatch(mode.value) is not None
    )


def has_encoding(call: ast.Call) -> bool:
    return any(word.arg in ("encoding", None) for word in call.keywords)


def calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def offences(trees: Trees, rule: Callable[[ast.Module], list[int]]) -> list[str]:
    return [f"{path}:{line}" for path, tree in trees.items() for line in rule(tree)]


def test_the_product_raises_instead_of_asserting(product: Trees) -> None:
    assert offences(product, asserts) == []


def test_only_commands_print(product: Trees) -> None:
    silent = {path: tree for path, tree in product.items() if not path.startswith(("src/cisfa/cli/", "dev.py"))}
    assert offences(silent, prints) == []


def test_no_error_is_swallowed(all_python: Trees) -> None:
    assert offences(all_python, swallowed_errors) == []


def test_nothing_works_on_posix_alone(all_python: Trees) -> None:
    assert offences(all_python, posix_only) == []


def test_text_has_a_stated_encoding(all_python: Trees) -> None:
    assert offences(all_python, text_without_encoding) == []


@pytest.mark.parametrize(
    ("rule", "snippet"),
    [
        (asserts, "def f(a):\n  assert a"),
        (prints, "print('a')"),
        (swallowed_errors, "try: f()\nexcept: raise"),
        (swallowed_errors, "try: f()\nexcept Exception: pass"),
        (swallowed_errors, "for a in b:\n  try: f()\n  except BaseException as error: continue"),
        (swallowed_errors, "try: f()\nexcept Exception: ..."),
        (posix_only, "import os\ndef f(): os.fork()"),
        (posix_only, "import signal\nclass C:\n  def f(self): signal.signal(signal.SIGKILL, None)"),
        (posix_only, "import fcntl"),
        (posix_only, "from resource import getrlimit"),
        (posix_only, "from os import killpg"),
        (posix_only, "import sys, os\ndef f(): return sys.platform\ndef g(): return os.getuid()"),
        (text_without_encoding, "open('a')"),
        (text_without_encoding, "open('a', 'w')"),
        (text_without_encoding, "open('a', mode='r')"),
        (text_without_encoding, "path.open()"),
        (text_without_encoding, "path.open('w', newline='')"),
        (text_without_encoding, "path.read_text()"),
        (text_without_encoding, "path.write_text('a')"),
        (text_without_encoding, "subprocess.run(['a'], text=True)"),
    ],
)
def test_an_offence_is_found(rule: Callable[[ast.Module], list[int]], snippet: str) -> None:
    assert rule(ast.parse(snippet)) == [len(snippet.splitlines()) if "for a" not in snippet else 3]


@pytest.mark.parametrize(
    ("rule", "snippet"),
    [
        (prints, "report(Notice('a'))"),
        (swallowed_errors, "try: f()\nexcept OSError: pass"),
        (swallowed_errors, "try: f()\nexcept Exception as error: raise CisfaError('a') from error"),
        (posix_only, "import os\ndef f():\n  if os.name == 'posix': os.killpg(1, 2)"),
        (posix_only, "if sys.platform != 'win32':\n  def f(): os.sysconf('a')"),
        (posix_only, "os.replace(a, b)"),
        (text_without_encoding, "open('a', 'rb')"),
        (text_without_encoding, "with self.open() as file: file.read()"),
        (text_without_encoding, "open('a', encoding='utf-8')"),
        (text_without_encoding, "path.open('wb')"),
        (text_without_encoding, "archive.open('name.json')"),
        (text_without_encoding, "path.read_text(encoding='utf-8')"),
        (text_without_encoding, "subprocess.run(['a'], text=True, encoding='utf-8')"),
    ],
)
def test_what_is_allowed_is_let_through(rule: Callable[[ast.Module], list[int]], snippet: str) -> None:
    assert rule(ast.parse(snippet)) == []
