"""Stands where vLLM's server is: `python3 -m vllm.entrypoints.openai.api_server` runs the simulator in this image."""

from lorikeet.testing.engine.__main__ import main

if __name__ == "__main__":
    main()
