"""Charts over time and over versions, as plain data: of an index, and of one deployment."""
