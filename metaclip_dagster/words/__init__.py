"""What a word is: languages, scripts, and where a match may begin and end."""
