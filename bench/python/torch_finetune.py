"""
PyTorch and transformers: fine-tunes a BERT for sequence classification as HF Trainer does, padded to the longest of each batch.
Sentences come in the order of the file, or grouped by length with the batches in random order. The sample is the rate of the
next few steps, tokenization included, in real tokens a second.
"""
import random
import time

import torch
from serve import options, peak_bytes, serve, texts
from transformers import AutoModelForSequenceClassification, AutoTokenizer

BATCH = 32
WARM_UP = 16
STEPS = 4

torch.set_num_threads(options.get("threads", 2))
torch.manual_seed(0)
tokenizer = AutoTokenizer.from_pretrained(options["model"])
model = AutoModelForSequenceClassification.from_pretrained(options["model"], num_labels=2).train()
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.01)

rows = texts()
if options.get("grouped"):
    rows.sort(key=lambda row: len(row["text"]))
batches = [rows[i : i + BATCH] for i in range(0, len(rows) - BATCH + 1, BATCH)]
if options.get("grouped"):
    random.Random(0).shuffle(batches)
at = 0


def step():
    global at
    batch = batches[at % len(batches)]
    at += 1
    encoded = tokenizer(
        [row["text"] for row in batch], padding=True, truncation=True, max_length=128, return_tensors="pt"
    )
    loss = model(**encoded, labels=torch.tensor([row["label"] for row in batch])).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    loss.item()
    return int(encoded["attention_mask"].sum()), encoded["input_ids"].numel()


def measure(_):
    start = time.perf_counter()
    real = padded = 0
    for _ in range(STEPS):
        tokens, places = step()
        real += tokens
        padded += places
    seconds = time.perf_counter() - start
    return {
        "value": real / seconds,
        "tokens": real,
        "realShare": real / padded,
        "secondsPerStep": seconds / STEPS,
        "peakBytes": peak_bytes(),
    }


for _ in range(WARM_UP):
    step()
serve(f"torch {torch.__version__}", measure)
