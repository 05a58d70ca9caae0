"""
PyTorch, in GB/s: AdamW's update (weight and moments read and written, gradient read), copying memory, reading it (a sum), or
matrix-vector products (bytes of weights).
"""
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


def read():
    source = torch.ones(128 << 20)
    return source.sum, source.numel() * 4


def matvec(dtype):
    # in turns, since one alone could stay in a large cache
    tables = [torch.randn(49152, 576).to(dtype) for _ in range(4)]
    x = torch.randn(576).to(dtype)
    return lambda: [table @ x for table in tables], sum(t.numel() * t.element_size() for t in tables)


def chosen(case):
    what = options["what"]
    if what == "copy":
        return copy()
    if what == "read":
        return read()
    if what == "matvec":
        return matvec(getattr(torch, case["dtype"]))
    return adamw(what == "fused")


def measure(case):
    run, moved = chosen(case)
    with torch.no_grad():
        seconds = median_seconds(run, options["seconds"])
    return {"value": moved / seconds / 1e9, "milliseconds": seconds * 1000}


serve(f"torch {torch.__version__}", measure)
