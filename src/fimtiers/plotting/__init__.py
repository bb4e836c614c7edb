"""Figures of the study: one file per figure, each a pure function of tidy tables.

A figure module also writes the sentences of its caption, with the numbers of the run. What figures
share lives in `style`, `layout` and `save`; a figure imports no other figure.
"""
