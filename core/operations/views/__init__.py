"""What is shown of everything: lists, overviews, metrics."""
