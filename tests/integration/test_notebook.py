"""The notebook of the example is the script in another form."""

from __future__ import annotations

import ast
import importlib.util
import json

import pytest


@pytest.fixture(scope="module")
def tool(project_root):
    spec = importlib.util.spec_from_file_location("make_notebook", project_root / "tools" / "make_notebook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script(project_root):
    return (project_root / "examples" / "staged_fit.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def notebook_path(project_root):
    return project_root / "examples" / "staged_fit.ipynb"


def test_notebook_is_current(tool, script, notebook_path):
    text = notebook_path.read_text(encoding="utf-8")
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    assert cells == tool.cells_of(script), "run: python tools/make_notebook.py"
    assert text == tool.render(script)


def test_no_outputs_are_stored(notebook_path):
    code = [
        cell
        for cell in json.loads(notebook_path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    assert len(code) >= 4
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_code_of_the_notebook_is_that_of_the_script(tool, script):
    code = "\n".join(text for kind, text in tool.cells_of(script) if kind == "code")
    assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(script))
    for kind, text in tool.cells_of(script):
        if kind == "code":
            ast.parse(text)  # each cell alone is complete
        else:
            assert not text.startswith("#  ")


def test_notebook_is_valid(notebook_path):
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.read(notebook_path, as_version=4))


def test_cells(tool):
    text = "import a\n\n# %% [markdown]\n# # Title\n#\n# words\n\n# %%\n\nx = 1\n\n\ny = 2\n# %%\n"
    assert tool.cells_of(text) == [
        ("code", "import a"),
        ("markdown", "# Title\n\nwords"),
        ("code", "x = 1\n\n\ny = 2"),
    ]
    with pytest.raises(ValueError, match="line 2: 'x = 1' in a cell of text"):
        tool.cells_of("# %% [markdown]\nx = 1\n")
    with pytest.raises(ValueError, match=r"expected '# %%' or '# %% \[markdown\]'"):
        tool.cells_of("# %% title\n")
