"""How values of the shared vocabulary stand in the ledger's columns."""

from amp_console.values import IdType, Operation

ID_TYPE_CODE = {IdType.USER_ID: 1, IdType.AMPLITUDE_ID: 2}
ID_TYPE_OF = {code: id_type for id_type, code in ID_TYPE_CODE.items()}
WANTED = {Operation.REMOVE: 0, Operation.ADD: 1}
"""What `wanted` and `delivered` say of a member whom the operation is for."""
