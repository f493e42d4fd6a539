"""What comes from outside is cut, cleaned of secrets and bounded before anybody sees it."""
