"""What would make a workload fit, or free most: levers, each a changed workload that is forecast for real.

`lever.py` says what a lever is, `levers/` holds them, one file per subject; `advise.py` pulls them, alone and in pairs; `reasons.py` says
why one that was expected to help does not.
"""
