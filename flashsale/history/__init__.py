"""What happened to a SKU or an order, read back from the topics: no worker is asked, nothing is changed."""
