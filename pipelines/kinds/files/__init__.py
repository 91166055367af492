"""Files of rows, whatever they hold: CSV, Parquet and JSON lines, read in batches."""
