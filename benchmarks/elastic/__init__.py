"""Benchmarks of elastic training against networks trained one by one."""
