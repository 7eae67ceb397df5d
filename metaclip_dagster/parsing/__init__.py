"""Turn WAT, WARC or the rows of other sets into PAIRS."""

from metaclip_dagster.parsing.pairs import BROKEN_RECORDS, clean_text, parse_rows, parse_warc, parse_wat

__all__ = ["BROKEN_RECORDS", "clean_text", "parse_rows", "parse_warc", "parse_wat"]
