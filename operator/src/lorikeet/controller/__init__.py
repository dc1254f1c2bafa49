"""The operator: handlers → loops → reconcile (observe → decide → carry_out → report), once per server."""
