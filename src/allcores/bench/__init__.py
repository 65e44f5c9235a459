"""``python -m allcores bench``: the kernels, the fallback, NumPy and its other fast implementations on this machine.

    cli.py         arguments, and the order of a run
    functions.py   what is called, from the registry, and what others have for it
    tables.py      on which arrays, for each family
    cases.py       the words in which these say so, and the arrays themselves
    peers.py       the packages to compare with, as far as they are installed
    limits.py      what the machine allows in this run: memory bandwidth, and what a second core adds
    timing.py      interleaved samples, medians, ratios
    measure.py     one row: agree first, then be timed
    report.py      rows as text, as Markdown, as JSON;  plot.py: as a picture
    machine.py     where it was measured

Nothing else in allcores imports this package.
"""
