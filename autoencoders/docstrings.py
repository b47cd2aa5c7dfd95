"""What docstrings say, read from the source: so that asking for it imports no Keras."""

import ast
from functools import cache
from pathlib import Path


@cache
def docstrings(files: str) -> dict[str, str]:
    """The docstrings of the classes and functions in some of the package's files, by their names.

    Args:
        files: A pattern for `Path.glob`, from the package's folder.
    """
    return {
        node.name: ast.get_docstring(node) or ""
        for path in Path(__file__).parent.glob(files)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef))
    }


def arguments(docstring: str) -> dict[str, str]:
    """The entries of a docstring's section "Args:", a line for each argument.

    An entry begins where the first one does; deeper lines go on with it, and others end the
    section.
    """
    entries: list[str] = []
    depth = None
    for line in docstring.partition("\nArgs:\n")[2].splitlines():
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        depth = indent if depth is None else depth
        if indent == 0 or indent < depth:
            break
        if indent == depth:
            entries.append(line.strip())
        else:
            entries[-1] += f" {line.strip()}"
    parts = (entry.partition(": ") for entry in entries)
    return {name.partition(" (")[0]: text for names, _, text in parts for name in names.split(", ")}
