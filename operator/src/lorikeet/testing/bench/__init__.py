"""The operator's benchmark: what one adapter, a hundred, a thousand and ten thousand cost, and how soon they serve.

    python3 -m lorikeet.testing.bench --out docs/benchmarks              # what `make bench-operator` runs
    python3 -m lorikeet.testing.bench --out docs/benchmarks --rows abc

A real API server with an audit log, our operator as a process of its own, and replicas that are processes too: a real
agent and a simulated engine each, whose loads take 30 ms and come one after the other. One machine plays them all.
"""
