"""Formulas of search quality and of what can be said about them: numbers in, numbers out."""
