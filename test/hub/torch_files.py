"""Writes files of torch.save into a folder: torch_files.py FOLDER [SEED]. test/goldens/torch holds those of seed 0, and
in bert-tiny a model whose weights are test/goldens/models/bert-tiny/seq_cls_2/model.safetensors in the old format.

expected.safetensors has what plain.bin and the others hold; names that begin with `new.` are not in legacy.bin, whose
format has no such dtypes. refused/ has files that a reader must refuse, and what the error must name in refused.json.
"""

import collections
import json
import os
import pathlib
import sys

import numpy
import torch
from safetensors.torch import load_file, save_file

folder = pathlib.Path(sys.argv[1])
(folder / "refused").mkdir(parents=True, exist_ok=True)
torch.manual_seed(int(sys.argv[2]) if len(sys.argv) > 2 else 0)

x = torch.randn(4, 6)
tied = torch.randn(3, 5)
state = collections.OrderedDict()
for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
    state[str(dtype)[6:]] = torch.randn(2, 3).to(dtype)
for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool):
    state[str(dtype)[6:]] = torch.randint(0, 100, (5,)).to(dtype)
state["complex64"] = torch.randn(3, dtype=torch.complex64)
state["scalar"] = torch.tensor(2.5)
state["empty"] = torch.empty(0, 3)
state["view.whole"] = x
state["view.transposed"] = x.t()
state["view.rows"] = x[1:3]
state["view.columns"] = x[:, 1::2]
state["view.permuted"] = torch.randn(2, 3, 4).to(torch.bfloat16).permute(2, 0, 1)
state["tied.a"] = tied
state["tied.b"] = tied
state["parameter"] = torch.nn.Parameter(torch.randn(2, 2))
state["größe"] = torch.tensor([1.0])
state._metadata = {"": {"version": 1}}
new = {
    "new.float8_e4m3fn": torch.randn(6).to(torch.float8_e4m3fn),
    "new.float8_e5m2": torch.randn(6).to(torch.float8_e5m2),
    "new.uint16": torch.tensor([1, 65535], dtype=torch.uint16),
}
everything = collections.OrderedDict(state)
everything.update(new)

torch.save(everything, folder / "plain.bin")
torch.save(everything, folder / "protocol4.bin", pickle_protocol=4)
torch.save(state, folder / "legacy.bin", _use_new_zipfile_serialization=False)
torch.save(
    {"epoch": 3, "lr": 1e-4, "big": 2**70, "nothing": None, "flags": [True, False, ("a", -1)], "state_dict": everything},
    folder / "checkpoint.pt",
)
expected = {name: tensor.detach().clone().contiguous() for name, tensor in everything.items()}
save_file(expected, folder / "expected.safetensors")

names = list(everything)
shards = {"pytorch_model-00001-of-00002.bin": names[:9], "pytorch_model-00002-of-00002.bin": names[9:]}
(folder / "sharded").mkdir(exist_ok=True)
for file, part in shards.items():
    torch.save({name: everything[name].detach().clone() for name in part}, folder / "sharded" / file)
weight_map = {name: file for file, part in shards.items() for name in part}
index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
(folder / "sharded" / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1))

model = pathlib.Path(__file__).parent / "../goldens/models/bert-tiny/seq_cls_2"
(folder / "bert-tiny").mkdir(exist_ok=True)
weights = load_file(model / "model.safetensors")
torch.save(weights, folder / "bert-tiny" / "pytorch_model.bin", _use_new_zipfile_serialization=False)
(folder / "bert-tiny" / "config.json").write_text((model / "config.json").read_text())


class Evil:
    def __reduce__(self):
        return (os.system, ("touch /tmp/tunesmith-was-here",))


class EvilEval:
    def __reduce__(self):
        return (eval, ("1 + 1",))


refused = {
    "system.bin": (Evil(), "system"),
    "eval.bin": ({"a": tied, "b": EvilEval()}, "eval"),
    "module.bin": (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
    "numpy.bin": ({"a": tied, "score": numpy.float64(1.5)}, "numpy"),
    "expanded.bin": ({"a": torch.ones(1).expand(1000)}, "contiguous"),
    "nothing.bin": ({"a": 1}, "without tensors"),
    "sparse.bin": ({"a": torch.eye(3).to_sparse()}, "sparse"),
}
for name, (value, _) in refused.items():
    torch.save(value, folder / "refused" / name)
torch.save(Evil(), folder / "refused" / "legacy.bin", _use_new_zipfile_serialization=False)
torch.jit.script(torch.nn.Linear(2, 2)).save(folder / "refused" / "script.bin")
reasons = {name: reason for name, (_, reason) in refused.items()}
reasons |= {"legacy.bin": "system", "script.bin": "TorchScript"}
(folder / "refused" / "refused.json").write_text(json.dumps(reasons, indent=1))
