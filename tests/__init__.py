"""The tests, and the real servers they share with the benchmarks."""
