"""Pure functions on numbers: assignment, estimators, sequential tests, intervals, rankings,
sketches."""
