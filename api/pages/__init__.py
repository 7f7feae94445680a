"""What the web pages show of documents: words, order, marks and templates. No number is made here."""
