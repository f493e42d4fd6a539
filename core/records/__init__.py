"""Records that applications write to an index, whichever model serves it.

An application sends records, as a source has them. Their vectors are made for the collection that
leads, and the write goes through the journal (``core.journal``). So an application needs not know
which model serves, and a rebuild loses none of its writes.
"""
