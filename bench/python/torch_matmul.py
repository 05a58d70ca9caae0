"""PyTorch: float32 matrix products."""
import torch
from serve import median_seconds, options, serve

torch.set_num_threads(options.get("threads", 2))


def measure(case):
    m, k, n = case["m"], case["k"], case["n"]
    a = torch.randn(k, m).T if case.get("transposed") == "a" else torch.randn(m, k)
    b = torch.randn(n, k).T if case.get("transposed") == "b" else torch.randn(k, n)
    out = torch.empty(m, n)
    with torch.no_grad():
        seconds = median_seconds(lambda: torch.matmul(a, b, out=out), options["seconds"])
    return {"value": 2 * m * k * n / seconds / 1e9}


serve(f"torch {torch.__version__}", measure)
