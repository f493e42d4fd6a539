"""Everything from outside is cut, cleaned of secrets and bounded before anyone sees it."""
