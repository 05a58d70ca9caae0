"""Python's tokenizers on one thread: megabytes a second."""
import os

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

import serve  # noqa: E402

texts = [row["text"] for row in serve.texts()][:2000]
size = sum(len(text.encode()) for text in texts)
loaded = {}
for name, path in serve.options["files"].items():
    loaded[name] = Tokenizer.from_file(path)
    loaded[name].no_padding()
    loaded[name].no_truncation()


def measure(what):
    tokenizer = loaded[what["tokenizer"]]
    runs = {
        "batch, ids": lambda: [e.ids for e in tokenizer.encode_batch_fast(texts)],
        "batch, full": lambda: [e.ids for e in tokenizer.encode_batch(texts)],
        "single, ids": lambda: [tokenizer.encode(text).ids for text in texts],
        "single, full": lambda: [tokenizer.encode(text).ids for text in texts],
    }
    return {"value": size / serve.median_seconds(runs[what["mode"]], serve.options["seconds"]) / 1e6}


serve.serve(f"Python tokenizers {tokenizers.__version__}", measure)
