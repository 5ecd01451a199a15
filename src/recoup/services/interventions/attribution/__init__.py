"""Which orders belong to which decision, and whether one of our messages was the last touch before them.

Consumes: order_completed (through `shoppers`). Emits: conversion-events. Owns: tables `orders`, `conversions`.
"""
