"""``python -m allcores describe FILE...``: the statistics of arrays and tables in files, read once, in bounded memory.

::

    arrays.py  .npy .npz       \\
                                >  blocks  ->  statistics.py  ->  report.py  text or JSON
    tables.py  .csv .parquet   /

`cli.py` picks the reader and turns whatever goes wrong with a file into one line.
"""
