"""What tests share. Each module is one kind of help; conftest.py turns them into fixtures."""
