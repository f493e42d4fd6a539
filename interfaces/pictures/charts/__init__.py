"""Charts inside a page: SVG without its own style, whose colours the page's style sheet has.

Rule: a chart is as wide as its place, and its texts have the same size everywhere. So horizontal
places are shares of the width, and vertical ones pixels.
"""
