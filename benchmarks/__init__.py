"""Measurements that are no tests: `fisher` compares the Fisher engine with other libraries."""
