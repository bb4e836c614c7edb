"""What theory says about tier ratios: laws of ln F, drift and fluctuation along the layers.

Closed forms and quadrature, each in the module of its own name; nothing is measured or fitted to
measurements here, but `prediction` sets a measured diagonal against the laws. No files, no torch.
"""
