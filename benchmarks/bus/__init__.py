"""What a call on the buses costs, beside a direct call and beside other libraries."""
