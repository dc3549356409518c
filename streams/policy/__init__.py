"""What changes while a worker runs: suppressions and rules, swapped in between two batches."""
