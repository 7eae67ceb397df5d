"""Print rows as a table on a terminal, with columns side by side and numbers to the right."""

from collections.abc import Sequence

from metaclip_dagster.explaining import align_columns


def render_table(rows: Sequence[Sequence[str]], num_left: int = 1) -> str:
    """Lines of the table, headings being the first row; cells of the first `num_left` columns begin at the left."""
    return "\n".join(align_columns(rows, [column >= num_left for column in range(len(rows[0]))]))
