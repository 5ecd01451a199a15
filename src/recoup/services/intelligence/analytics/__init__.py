"""Ready answers: overview, funnel, revenue, live figures, and what the messages really brought back.

Consumes: nothing; asks the warehouse. Emits: nothing. Owns: `holdout_evaluations` in the warehouse. Every figure is
defined once, in `domain.py`; API, console, jobs and reports take it from there.
"""
