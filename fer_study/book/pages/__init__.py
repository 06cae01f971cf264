"""What only the pages of the book need: tables, readings and sheets of single notebooks, and the marking of labs."""
