"""Skins over ``core.deployments.commands`` and ``core.operations.views.queries``: what people and programs outside this code use."""
