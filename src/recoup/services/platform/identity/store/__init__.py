"""Tables of people and their sign-ins, and the counts of attempts in Valkey."""
