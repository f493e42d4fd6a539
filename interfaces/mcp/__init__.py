"""The MCP server: search and looks for agents, and deployments where an operator has allowed them."""
