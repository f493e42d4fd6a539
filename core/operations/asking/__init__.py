"""One query asked of two versions of an index, and the judgments that people make of the answers.

Rule: asking changes nothing, in Qdrant or anywhere else, and is no traffic: it says how answers
differ, not how users are served.
"""
