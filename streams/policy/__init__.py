"""What changes while a worker runs: suppressions, rules, look-ups; swapped in between batches."""
