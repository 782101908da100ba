"""Warehouses: the members of an audience come from a query, which only reads."""

from amp_console.sync.sources.warehouse.addresses import open_engine, whole_url
from amp_console.sync.sources.warehouse.engine import Engine, WarehouseError

__all__ = ["Engine", "WarehouseError", "open_engine", "whole_url"]
