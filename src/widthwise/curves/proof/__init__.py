"""The choice by evidence: a test of each candidate against the full network on the same samples."""
