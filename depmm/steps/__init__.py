"""Tables of steps from recordings: speech, words, turns and windows."""
