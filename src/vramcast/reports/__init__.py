"""Reports: a finished forecast, shown or written. A report reads values and computes no memory."""
