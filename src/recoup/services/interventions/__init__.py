"""Whether, how and when to act, and what it brought: decisions, deliveries, tracking, attribution.

Its features, in the order in which they may know each other (a later one may use what earlier ones keep and decide):
announcements · clocks · preferences · templates · decisions · channels · tracking · attribution · deliveries · shoppers
"""
