"""Recorded and simulated shoppers, who know the platform only by its public HTTP API.

For: trying Recoup out, with real events (`recoup replay`) or with people whose truth is known (`recoup demo`).
Imports kit and messages only; owns nothing, keeps nothing.
"""
