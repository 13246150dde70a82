"""What the readers share: opening, order, fetching, batches."""
