"""May a collection serve? Evidence is collected, checks judge it, a report says what came of it."""
