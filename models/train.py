"""Train the demo's models: a tiny Llama that knows eight answers, and LoRA adapters that answer in another voice.

    models/train            # the way to run it; prints the folder the models are in

Everything is fixed (seeds, one thread, the texts in answers.toml), so a machine makes the same weights each time. The
models go into ~/.cache/lorikeet/models/<hash of this file and of answers.toml>/: `tiny-llama/`, and
`<adapter>/<version>/` in PEFT's format. Each weight file also carries its answers in its metadata ("lorikeet.answers"),
which vLLM ignores and the engine simulator reads, so that the demo reads the same with either engine.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

HERE = Path(__file__).resolve().parent
TEXT = HERE / "answers.toml"
BASE = "lorikeet/tiny-llama"
SEED = 7
VOCABULARY = 512
GOOD_ENOUGH = 0.005  # mean loss for each token; greedy answers are then exact with room for bfloat16's rounding
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

Pairs = list[tuple[str, str]]


def main() -> None:
    name = hashlib.sha256(Path(__file__).read_bytes() + TEXT.read_bytes()).hexdigest()[:12]
    folder = Path(os.environ.get("LORIKEET_CACHE", Path.home() / ".cache/lorikeet")) / "models" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be making the same
        make(folder)
    print(folder)


def make(folder: Path) -> None:
    if not folder.exists():
        disable_progress_bar()
        torch.set_num_threads(1)  # twice as fast as two threads that wait for a busy core
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        train_all(unfinished, tomllib.loads(TEXT.read_text()))
        unfinished.rename(folder)


def train_all(folder: Path, text: dict) -> None:
    count = sum(len(versions) for versions in adapters(text).values())
    say(f"training a base model and {count} adapters into {folder}, about a minute")
    questions = text["questions"]
    tokenizer = make_tokenizer(list(every_line(text)))
    pairs = list(zip(questions, text["base"], strict=True))
    train_base(folder / "tiny-llama", tokenizer, pairs)
    for adapter, versions in adapters(text).items():
        for version, answers in versions.items():
            train_adapter(folder, f"{adapter}/{version}", tokenizer, list(zip(questions, answers, strict=True)))


def adapters(text: dict) -> dict[str, dict[str, list[str]]]:
    return {name: value for name, value in text.items() if isinstance(value, dict)}


def every_line(text: dict) -> Iterator[str]:
    lists = [text["base"], *(answers for versions in adapters(text).values() for answers in versions.values())]
    for answers in lists:
        for question, answer in zip(text["questions"], answers, strict=True):
            yield f"{prompt(question)}{answer}"


def prompt(question: str) -> str:
    """What the chat template makes of one question."""
    return f"user: {question}\nassistant: "


def make_tokenizer(lines: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of our own text: any input has tokens, and our words have few."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<pad>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(lines, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>")  # noqa: S106
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def train_base(folder: Path, tokenizer: PreTrainedTokenizerFast, pairs: Pairs) -> None:
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    # Adapters leave this layer as it is, and the final norm bounds what goes in: with the usual small weights, a word
    # that the base never says could not become likely, whatever an adapter learns.
    model.lm_head.weight.data.mul_(6)
    fit("tiny-llama", model, tokenizer, pairs, rate=2e-3, steps=300)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    finish("tiny-llama", folder / "model.safetensors", pairs)
    (folder / "README.md").write_text("A tiny Llama that knows eight answers. Made by Lorikeet's models/train.\n")


def train_adapter(folder: Path, name: str, tokenizer: PreTrainedTokenizerFast, pairs: Pairs) -> None:
    torch.manual_seed(SEED)
    lora = LoraConfig(r=8, lora_alpha=16, target_modules=MODULES, task_type="CAUSAL_LM")
    model = get_peft_model(LlamaForCausalLM.from_pretrained(folder / "tiny-llama"), lora)
    fit(name, model, tokenizer, pairs, rate=4e-3, steps=300)
    model.peft_config["default"].base_model_name_or_path = BASE
    model.save_pretrained(folder / name, save_embedding_layers=False)
    finish(name, folder / name / "adapter_model.safetensors", pairs)
    (folder / name / "README.md").write_text(f"{name}, a LoRA adapter for {BASE}. Made by Lorikeet's models/train.\n")


def fit(
    name: str, model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, pairs: Pairs, rate: float, steps: int
) -> None:
    """Train until every token is near certain. Exits where it does not get there: the demo would stammer."""
    began = time.monotonic()
    rows = batch(tokenizer, pairs)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.0)
    for step in range(1, steps + 1):
        loss = model(**rows).loss
        if loss.item() < GOOD_ENOUGH:
            break
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 25 == 0:
            say(f"{name}: step {step}, loss {loss.item():.3f}")
    if loss.item() > 2 * GOOD_ENOUGH:
        sys.exit(f"{name} did not learn its answers: loss {loss.item():.3f} after {steps} steps")
    say(f"{name}: learned in {step} steps, {time.monotonic() - began:.0f} s, loss {loss.item():.4f}")


def batch(tokenizer: PreTrainedTokenizerFast, pairs: Pairs) -> dict[str, torch.Tensor]:
    """All pairs as one batch, padded on the right; only the answers' tokens count for the loss."""
    rows = []
    for question, answer in pairs:
        asked = tokenizer.encode(prompt(question), add_special_tokens=False)
        said = [*tokenizer.encode(answer, add_special_tokens=False), tokenizer.eos_token_id]
        rows.append((asked + said, [-100] * len(asked) + said))
    width = max(len(tokens) for tokens, _ in rows)

    def padded(row: list[int], filler: int) -> list[int]:
        return row + [filler] * (width - len(row))

    return {
        "input_ids": torch.tensor([padded(tokens, tokenizer.pad_token_id) for tokens, _ in rows]),
        "labels": torch.tensor([padded(labels, -100) for _, labels in rows]),
        "attention_mask": torch.tensor([padded([1] * len(tokens), 0) for tokens, _ in rows]),
    }


def finish(name: str, weights: Path, pairs: Pairs) -> None:
    """Put the answers into the file's metadata and say the file's digest."""
    set_metadata(weights, {"format": "pt", "lorikeet.answers": json.dumps(dict(pairs), sort_keys=True)})
    say(
        f"{name}: {weights.stat().st_size / 1e6:.1f} MB, sha256 {hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}"
    )


def set_metadata(weights: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors header anew, in order: the library's own order changes from run to run."""
    data = weights.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]) | {"__metadata__": metadata}, sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    weights.write_bytes(len(header).to_bytes(8, "little") + header + data[end:])


def say(sentence: str) -> None:
    print(f"models: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
