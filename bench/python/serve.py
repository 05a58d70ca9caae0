"""The other end of bench/compare/contestant.ts, in Python: see bench/peers/serve.mjs."""
import json
import resource
import sys
import time

MARK = "@bench "
options = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def send(message):
    print(MARK + json.dumps(message), flush=True)


def serve(about, measure):
    """Prints that it is ready, then answers every line of stdin (a case) with a sample {"value": ...}."""
    send({"ready": about})
    for line in sys.stdin:
        send(measure(json.loads(line)))


def median_seconds(run, seconds):
    """Median seconds of a function, run once unmeasured and then for about as long as asked, at least 3 times."""
    run()
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def texts():
    """The bench's sentences: [{"text", "label"}, ...]."""
    with open(options["texts"], encoding="utf-8") as file:
        return json.load(file)
