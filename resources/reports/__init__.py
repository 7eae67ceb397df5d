"""Write reports for people, HTML and JSON, and serve them."""
