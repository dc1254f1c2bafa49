"""The gateway's HTTP as an OpenAPI 3.1 document, made from the values that the code itself goes by.

document ──► clients (the public port) ──┬──► bodies: what is sent and what is answered
         └─► scripts (the admin port)  ──┴──► failures: every error, by status
"""
