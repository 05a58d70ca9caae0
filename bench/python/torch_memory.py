"""PyTorch: the rate of AdamW's update (weight and moments read and written, gradient read), or of copying memory, in GB/s."""
import torch
from serve import median_seconds, options, serve

PARTS, SIZE = 10, 2_270_000

torch.set_num_threads(options.get("threads", 2))


def adamw(fused):
    parameters = [torch.nn.Parameter(torch.ones(SIZE)) for _ in range(PARTS)]
    for p in parameters:
        p.grad = torch.full_like(p, 1e-3)
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, fused=fused)
    return optimizer.step, PARTS * SIZE * 4 * 7


def copy():
    source = torch.zeros(64 << 20)
    target = torch.empty_like(source)
    return lambda: target.copy_(source), 2 * source.numel() * 4


run, moved = copy() if options["what"] == "copy" else adamw(options["what"] == "fused")


def measure(_):
    seconds = median_seconds(run, options["seconds"])
    return {"value": moved / seconds / 1e9, "milliseconds": seconds * 1000}


serve(f"torch {torch.__version__}", measure)
