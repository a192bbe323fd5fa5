"""What a claim, an order and an idle SKU cost as a sale grows: `make bench-growth`."""
