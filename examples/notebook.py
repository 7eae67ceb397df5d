"""Write examples/metaclip.ipynb from metaclip.py: a cell for each part that begins with `# %%`.

python examples/notebook.py
"""

import json
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("metaclip.py")
NOTEBOOK = SCRIPT.with_suffix(".ipynb")


def build_notebook(script: str) -> dict[str, Any]:
    """A notebook (nbformat 4.5) of a script; the words behind `# %%` stand above their code."""
    head, *parts = script.split("\n# %% ")
    cells = [_cell("markdown", "# " + head.strip().strip('"').split("\n")[0])]
    for part in parts:
        title, _, code = part.partition("\n")
        cells += [_cell("markdown", title), _cell("code", code.strip())]
    for number, cell in enumerate(cells):
        cell["id"] = str(number)
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": python}, "nbformat": 4, "nbformat_minor": 5}


def _cell(kind: str, text: str) -> dict[str, Any]:
    outputs: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True), **outputs}


if __name__ == "__main__":
    notebook = json.dumps(build_notebook(SCRIPT.read_text("utf-8")), indent=1, ensure_ascii=False)
    NOTEBOOK.write_text(f"{notebook}\n", "utf-8")
