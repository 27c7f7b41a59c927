"""Chats become a tuned model, and what it writes is scored."""
