"""JSON Schemas of the documents that commands write with `--format json`: files, made from the very values that are written."""
