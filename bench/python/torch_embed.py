"""PyTorch and transformers: embeds sentences, mean pooling, batches of 32 padded to the longest."""
import time

import torch
from serve import options, serve, texts
from transformers import AutoModel, AutoTokenizer

BATCH = 32

torch.set_num_threads(options.get("threads", 2))
tokenizer = AutoTokenizer.from_pretrained(options["model"])
model = AutoModel.from_pretrained(options["model"]).eval()
sentences = [row["text"] for row in texts()]


def embed_all():
    with torch.no_grad():
        for i in range(0, len(sentences), BATCH):
            encoded = tokenizer(sentences[i : i + BATCH], padding=True, truncation=True, return_tensors="pt")
            hidden = model(**encoded).last_hidden_state
            mask = encoded["attention_mask"][..., None].float()
            torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1).numpy()


def measure(_):
    start = time.perf_counter()
    embed_all()
    return {"value": len(sentences) / (time.perf_counter() - start)}


embed_all()
serve(f"torch {torch.__version__}", measure)
