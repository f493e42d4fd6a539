"""What is done by itself: which times there are, what becomes of each, and who may change that."""
