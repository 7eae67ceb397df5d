"""Write the EU's public summary as Markdown and as a Word document; whatever a crawl gave is mere text in both."""

import io
from collections.abc import Mapping
from typing import Any

from metaclip_dagster.publishing.markdown import Markdown, render_markdown, write_code
from metaclip_dagster.reporting.html.numbers import number, percent
from metaclip_dagster.reporting.html.text import reveal

_CHAPTERS = {"1.": "1. General information", "2.": "2. List of data sources", "3.": "3. Data processing aspects"}
_BY = {"filled": "filled from the lake", "provider": "answered by the provider", "blank": "open"}
_MOST = 20_000


def write_markdown(content: Mapping[str, Any]) -> str:
    """The summary of `describe_summary` as Markdown."""
    return render_markdown(
        "eu_summary.md",
        summary=content,
        chapters=_first_sections(content),
        by=_BY,
        spell_cell=lambda cell, code: write_code(cell) if code and isinstance(cell, str) else _spell_cell(cell),
        rule=Markdown("---"),
        rule_of_numbers=Markdown("---:"),
    )


def write_docx(content: Mapping[str, Any]) -> bytes:
    """The summary as a file for Word, for a provider to complete: blanks are highlighted, and nothing is a link.

    Its bytes hold the time at which they were written, as every such file's do.
    """
    from docx import Document  # noqa: PLC0415  # an extra, and only who writes such a file needs it
    from docx.enum.text import WD_COLOR_INDEX  # noqa: PLC0415

    document = Document()
    # The library's own template names itself as the author.
    document.core_properties.title, document.core_properties.author = content["title"], ""
    document.core_properties.comments = ""
    document.add_heading(content["title"], 0)
    document.add_paragraph(content["notice"])
    document.add_paragraph(content["template"])
    chapters = _first_sections(content)
    for section in content["sections"]:
        if section["title"] in chapters:
            document.add_heading(chapters[section["title"]], 1)
        document.add_heading(section["title"], 2)
        for question in section["questions"]:
            paragraph = document.add_paragraph()
            paragraph.add_run(question["question"]).bold = True
            paragraph.add_run(f" ({_BY[question['source']]})").italic = True
            for text in question["answer"]:
                run = document.add_paragraph().add_run(reveal(" ".join(text.split()), _MOST))
                if question["source"] == "blank":
                    run.font.highlight_color = WD_COLOR_INDEX.YELLOW
            if question["table"]:
                _add_table(document, question["table"])
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def _add_table(document: Any, table: Mapping[str, Any]) -> None:
    """A table of plain text: Word evaluates fields alone, and these are runs."""
    rows = document.add_table(rows=0, cols=len(table["headings"]), style="Table Grid")
    for row in (table["headings"], *table["rows"]):
        for cell, value in zip(rows.add_row().cells, row, strict=True):
            cell.text = reveal(_spell_cell(value))


def _first_sections(content: Mapping[str, Any]) -> dict[str, str]:
    """The heading of each chapter, by the section that it begins with."""
    titles = [section["title"] for section in content["sections"]]
    return {next(title for title in titles if title.startswith(at)): name for at, name in _CHAPTERS.items()}


def _spell_cell(cell: object) -> str:
    if isinstance(cell, float) or cell is None:
        return percent(cell)
    return number(cell) if isinstance(cell, int) else str(cell)
