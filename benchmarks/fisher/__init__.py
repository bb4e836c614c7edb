"""The Fisher engine against its peers: cost, memory and correctness on the same workloads.

`workloads` are the models and data, `peers` the ways to a diagonal, `measure` the measurements of
one workload, `report` the page and the figure. `make benchmark` does it all.
"""
