"""What benchmarks run on: events, a broker and a database, platforms, child processes."""
