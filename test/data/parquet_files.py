"""Writes Parquet files into a folder: parquet_files.py FOLDER [SEED]. test/goldens/parquet holds those of seed 0.

A file for every compression, with row groups of 40 rows, and expected.jsonl with the rows that all of them hold.
"""

import json
import pathlib
import random
import sys

import pyarrow as pa
import pyarrow.parquet as pq

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
words = "the mail größe 漢字 😀 spam ham offer meeting".split()
rows = [
    {
        "text": " ".join(rng.choices(words, k=rng.randrange(1, 12))),
        "label": rng.randrange(3),
        "score": rng.random() if rng.random() < 0.9 else None,
        "flag": rng.random() < 0.5,
        "tags": rng.choices(words, k=rng.randrange(3)),
        "source": {"file": f"f{i % 4}", "line": i},
        "large": 2**40 + i,
    }
    for i in range(100)
]
info = {"info": {"features": {"label": {"names": ["ham", "spam", "other"], "_type": "ClassLabel"}}}}
table = pa.Table.from_pylist(rows).replace_schema_metadata({"huggingface": json.dumps(info)})
for codec in ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]:
    pq.write_table(table, folder / f"{codec}.parquet", compression=codec, row_group_size=40)
pq.write_table(table, folder / "v2.parquet", compression="snappy", data_page_version="2.0", use_dictionary=False)
with open(folder / "expected.jsonl", "w") as file:
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
