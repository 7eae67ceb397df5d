"""Parse WAT files, WARC files or the rows of other data sets into image-text pairs: the table PAIRS."""

from metaclip_dagster.parsing.pairing import clean_text
from metaclip_dagster.parsing.pairs import BROKEN_RECORDS, parse_rows, parse_warc, parse_wat
from metaclip_dagster.parsing.pool_columns import read_pool_columns
from metaclip_dagster.parsing.robots import read_robots
