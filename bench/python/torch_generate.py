"""PyTorch and transformers: greedy generation, prompts of 32 tokens; tokens a second after the first token of each sequence."""
import time

import torch
from serve import options, serve
from transformers import AutoModelForCausalLM

PROMPT = 32
TOKENS = 32

torch.set_num_threads(options.get("threads", 2))
torch.manual_seed(0)
batch = options["batch"]
model = AutoModelForCausalLM.from_pretrained(options["model"], dtype=getattr(torch, options["dtype"])).eval()
ids = torch.randint(100, 1000, (batch, PROMPT))


def generate(count):
    start = time.perf_counter()
    with torch.no_grad():
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
            pad_token_id=0,
        )
    return time.perf_counter() - start


def measure(_):
    prefill = generate(1)
    return {"value": batch * TOKENS / (generate(1 + TOKENS) - prefill), "prefillSeconds": prefill}


generate(4)
serve(f"torch {torch.__version__}", measure)
