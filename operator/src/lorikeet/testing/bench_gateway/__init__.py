"""The gateway's benchmark: CPU for each request and each streamed chunk, beside nginx, by /proc and in turns.

    python3 -m lorikeet.testing.bench_gateway --out docs/benchmarks

One process on one core is measured; engine and clients are on the others. Rates and delays say little on a shared
machine; the ratio of what a request costs here and there says the same on each.
"""
