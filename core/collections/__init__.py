"""A collection's life: its settings, its stamp, its records, its versions and its aliases."""
