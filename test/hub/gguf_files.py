"""Writes GGUF files into a folder: gguf_files.py FOLDER [SEED]. test/goldens/gguf holds those of seed 0.

types.gguf has a tensor of every type that is read, types.safetensors what gguf.dequantize makes of it (Q8_K, which it does
not know, is computed here). llama.gguf is test/goldens/models/llama-tiny/causal_lm as llama.cpp's converter writes it, with
matrices in F32 and, as llama-q8_0.gguf, in Q8_0; its tokenizer is a small byte-level BPE.
"""

import json
import pathlib
import sys

import gguf
import numpy
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import load_file, save_file

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
random = numpy.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 0)

# Bytes of a block, and where its float16 scales are; all other bytes may be anything.
BLOCKS = {
    Type.Q4_0: (32, 18, [0]),
    Type.Q4_1: (32, 20, [0, 2]),
    Type.Q5_0: (32, 22, [0]),
    Type.Q5_1: (32, 24, [0, 2]),
    Type.Q8_0: (32, 34, [0]),
    Type.Q2_K: (256, 84, [80, 82]),
    Type.Q3_K: (256, 110, [108]),
    Type.Q4_K: (256, 144, [0, 2]),
    Type.Q5_K: (256, 176, [0, 2]),
    Type.Q6_K: (256, 210, [208]),
    Type.Q8_K: (256, 292, []),
    Type.IQ4_NL: (32, 18, [0]),
    Type.IQ4_XS: (256, 136, [0]),
}

writer = gguf.GGUFWriter(folder / "types.gguf", "test")
writer.add_string("test.text", "größe")
writer.add_array("test.numbers", [1, 2, 3])
expected = {}
for dtype, (elements, size, scales) in BLOCKS.items():
    blocks = random.integers(0, 256, (2, 2, size), dtype=numpy.uint8)  # 2 rows of 2 blocks
    for at in scales:
        half = random.normal(0, 0.01, (2, 2, 1)).astype(numpy.float16)
        blocks[:, :, at : at + 2] = half.view(numpy.uint8)
    if dtype == Type.Q8_K:
        d = random.normal(0, 0.01, (2, 2, 1)).astype(numpy.float32)
        blocks[:, :, :4] = d.view(numpy.uint8)
        values = d * blocks[:, :, 4:260].view(numpy.int8).astype(numpy.float32)
    else:
        values = gguf.dequantize(blocks.reshape(2, -1), dtype)
    writer.add_tensor(dtype.name, blocks.reshape(2, -1), raw_dtype=dtype)
    expected[dtype.name] = numpy.ascontiguousarray(values.reshape(2, 2 * elements), dtype=numpy.float32)
floats = random.normal(0, 1, (3, 5)).astype(numpy.float32)
for dtype, values in {"F32": floats, "F16": floats.astype(numpy.float16), "F64": floats.astype(numpy.float64)}.items():
    writer.add_tensor(dtype, values)
    expected[dtype] = values.astype(numpy.float32)
bf16 = (floats.view(numpy.uint32) >> 16).astype(numpy.uint16)
writer.add_tensor("BF16", bf16.view(numpy.uint8), raw_dtype=Type.BF16)
expected["BF16"] = (bf16.astype(numpy.uint32) << 16).view(numpy.float32)
for dtype in (numpy.int8, numpy.int16, numpy.int32):
    values = random.integers(-100, 100, 7).astype(dtype)
    name = f"I{8 * dtype().itemsize}"
    writer.add_tensor(name, values)
    expected[name] = values.astype(numpy.float32)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
save_file(expected, folder / "types.safetensors")

model = pathlib.Path(__file__).parent / "../goldens/models/llama-tiny/causal_lm"
config = json.loads((model / "config.json").read_text())
weights = load_file(model / "model.safetensors")
heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
TOP = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}


def gguf_name(name):
    if name in TOP:
        return TOP[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


def permute(w, n_head):
    return w.reshape(n_head, 2, w.shape[0] // n_head // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


# 160 tokens: the 96 first bytes of the alphabet of byte-level BPE, merges of letters, four special ones
def alphabet():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {b: chr(b) for b in plain}
    extra = [b for b in range(256) if b not in table]
    return table | {b: chr(256 + i) for i, b in enumerate(extra)}


letters = [alphabet()[b] for b in [10, *range(32, 127)]]
space = alphabet()[32]
pairs = [(a, b) for a in space + "thesandoir" for b in "theanorsi"][:59]
vocab = ["<pad>", "<s>", "</s>", "<unk>", *letters, *dict.fromkeys(a + b for a, b in pairs)]
vocab += ["<|user|>"] + [f"<extra_{i}>" for i in range(160 - 1 - len(vocab))]
kinds = [3 if t.startswith("<") and len(t) > 1 else 1 for t in vocab]
for name, dtype in {"llama.gguf": Type.F32, "llama-q8_0.gguf": Type.Q8_0}.items():
    writer = gguf.GGUFWriter(folder / name, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocab)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{a} {b}" for a, b in dict.fromkeys(pairs)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_chat_template("{% for m in messages %}<|user|>{{ m.content }}</s>{% endfor %}")
    for weight_name, w in weights.items():
        if "q_proj" in weight_name:
            w = permute(w, heads)
        if "k_proj" in weight_name:
            w = permute(w, kv_heads)
        if w.ndim > 1 and dtype != Type.F32:
            writer.add_tensor(gguf_name(weight_name), gguf.quantize(w, dtype), raw_dtype=dtype)
        else:
            writer.add_tensor(gguf_name(weight_name), w)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
