"""
Makes the folder that transformers.js loads from a BERT's: tokenizer, config, and the model as ONNX with free batch and length.
usage: export_onnx.py MODEL_FOLDER TARGET_FOLDER
"""
import os
import shutil
import sys

import torch
from transformers import AutoModel

source, target = sys.argv[1:3]


class Encoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state


model = Encoder(AutoModel.from_pretrained(source)).eval()
ids = torch.randint(100, 1000, (2, 16))
names = ["input_ids", "attention_mask", "token_type_ids"]
batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
program = torch.onnx.export(
    model,
    (ids, torch.ones_like(ids), torch.zeros_like(ids)),
    input_names=names,
    output_names=["last_hidden_state"],
    dynamic_shapes={name: {0: batch, 1: length} for name in names},
    dynamo=True,
)
os.makedirs(os.path.join(target, "onnx"), exist_ok=True)
program.save(os.path.join(target, "onnx", "model.onnx"))
for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
    shutil.copy(os.path.join(source, file), target)
