"""numpy with the OpenBLAS of its wheel: float32 matrix products."""
import os

from serve import median_seconds, options, serve

os.environ["OPENBLAS_NUM_THREADS"] = str(options.get("threads", 2))
import numpy as np  # noqa: E402  (reads the number of threads when it is loaded)


def measure(case):
    m, k, n = case["m"], case["k"], case["n"]
    rng = np.random.default_rng(0)
    matrix = lambda r, c: rng.standard_normal((r, c), dtype=np.float32)  # noqa: E731
    a = matrix(k, m).T if case.get("transposed") == "a" else matrix(m, k)
    b = matrix(n, k).T if case.get("transposed") == "b" else matrix(k, n)
    out = np.empty((m, n), np.float32)
    seconds = median_seconds(lambda: np.matmul(a, b, out=out), options["seconds"])
    return {"value": 2 * m * k * n / seconds / 1e9}


serve(f"numpy {np.__version__}", measure)
