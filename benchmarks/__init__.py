"""What is measured, as tables: ``python -m benchmarks`` (or ``make bench``)."""
