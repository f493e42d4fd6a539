"""What a person can do now with a deployment, an index and the rest, one file for each: each action
with the reason if it is refused, what it will do, and the command that does the same.

Rule: the refusals are those of the commands themselves.
"""
