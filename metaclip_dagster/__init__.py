"""MetaCLIP's curation as plain functions over Arrow tables: parse, match, count, balance."""
