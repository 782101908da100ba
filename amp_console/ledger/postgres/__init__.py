"""The ledger's second engine: a schema of a PostgreSQL database, through psycopg 3.

It runs the same SQL as SQLite, translated once per statement, and has its own connection, schema,
locks and errors.
"""
