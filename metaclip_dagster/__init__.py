"""MetaCLIP's method as plain functions over Arrow tables: parse, match, count, balance, train, score."""
