"""What verbs show of rows, and of what Qdrant and the shelf say. Nothing here can change anything."""
