"""What the three readers share: opening, order, fetching, batches."""
