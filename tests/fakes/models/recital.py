"""A real inference engine that recites a known text: `recital.py ANSWER_FILE CONTINUE_AT [CONTEXT]`.

Writes the weights of a tiny model whose every token has exactly one successor, loads them into llama.cpp and serves
its HTTP API on loopback. A conversation that already holds an answer goes on at piece CONTINUE_AT, any other begins at
the start. CONTEXT is how many tokens one conversation may have, 1024 unless told. Prints one JSON line with the address and the pieces; ends when its input is closed.

The model knows nothing. It shows that prompt, engine, stream and client fit together, and is never offered to people.
"""

import json
import os
import re
import sys
import tempfile

import gguf
import numpy as np
import xllamacpp

TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}"
    "{% if messages | selectattr('role', 'equalto', 'assistant') | list %}<|go2|>{% else %}<|go|>{% endif %}"
    "{% endif %}"
)


def split(text):
    """Words with the blanks before them, glued until every piece is unique; together they are the text."""
    pieces, seen, glued = [], set(), ""
    for word in re.findall(r"\s*\S+|\s+$", text):
        glued += word
        if glued not in seen:
            pieces.append(glued)
            seen.add(glued)
            glued = ""
    if glued:
        pieces[-1] += glued
    assert "".join(pieces) == text and len(set(pieces)) == len(pieces)
    return pieces


def write(path, pieces, continue_at, context):
    """The weights: the last token alone decides which comes next."""
    special = ["<unk>", "<s>", "</s>", "<|go|>", "<|go2|>"]
    kinds = gguf.TokenType
    tokens = special + [f"<0x{byte:02X}>" for byte in range(256)] + [piece.replace(" ", "\u2581") for piece in pieces]
    types = (
        [kinds.UNKNOWN] + [kinds.CONTROL] * 4 + [kinds.BYTE] * 256 + [kinds.NORMAL] * len(pieces)
    )
    first = len(special) + 256
    end, go_on = 2, 4
    width = (len(tokens) + 63) // 64 * 64
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(max(8192, context))
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(width // 64)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(64)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(1)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_scores([-float(at) for at in range(len(tokens))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(end)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)

    embedding = np.zeros((len(tokens), width), dtype=np.float16)
    output = np.zeros((len(tokens), width), dtype=np.float16)
    for token in range(len(tokens)):
        embedding[token, token] = 1
        successor = first
        if token == go_on:
            successor = first + continue_at
        elif token == len(tokens) - 1:
            successor = end
        elif token >= first:
            successor = token + 1
        output[successor, token] = 4.0
    ones, zeros = np.ones(width, dtype=np.float32), lambda *shape: np.zeros(shape, dtype=np.float16)
    for name, tensor in {
        "token_embd.weight": embedding,
        "output.weight": output,
        "output_norm.weight": ones,
        "blk.0.attn_norm.weight": ones,
        "blk.0.ffn_norm.weight": ones,
        "blk.0.attn_q.weight": zeros(width, width),
        "blk.0.attn_k.weight": zeros(64, width),
        "blk.0.attn_v.weight": zeros(64, width),
        "blk.0.attn_output.weight": zeros(width, width),
        "blk.0.ffn_gate.weight": zeros(32, width),
        "blk.0.ffn_up.weight": zeros(32, width),
        "blk.0.ffn_down.weight": zeros(width, 32),
    }.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    answer, continue_at = sys.argv[1], int(sys.argv[2])
    context = int(sys.argv[3]) if len(sys.argv) > 3 else 1024
    with open(answer, encoding="utf-8", newline="") as file:
        pieces = split(file.read())
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "recital.gguf")
        write(path, pieces, continue_at, context)
        params = xllamacpp.CommonParams()
        params.model.path = path
        params.n_parallel = 2
        params.n_ctx = params.n_parallel * context
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.warmup = False
        # More threads only wait for each other, and on a busy machine for long.
        params.cpuparams.n_threads = 1
        params.cpuparams_batch.n_threads = 1
        server = xllamacpp.Server(params)
        print(json.dumps({"address": server.listening_address, "pieces": pieces}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
    # The engine's threads have nothing to clean up.
    os._exit(0)
