"""Bytes against the gateway: from clients, and from engines. Needs hypothesis, which developers have.

wounds: what happens to good bytes · clients, engines: grammars of what each says · stage: a gateway between the two,
and what must be so once all is over
"""
