"""Access over HTTP and MCP: tokens, sessions of the pages, keys that make a request safe to
repeat."""
