"""Skins over ``core.commands`` and ``core.queries``: what people and programs outside this code use."""
