"""What a call of Segment's says, in our words: `names` knows what others call an event, `mapping` makes ours of it."""
