"""What the buses and the whole flow cost, beside other libraries and beside loops written by hand."""
