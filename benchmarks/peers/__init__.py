"""What the table benchmarks share: tables, generators in child processes, and how their rows are judged."""
