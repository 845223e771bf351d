"""Guess the type of a file with a neural network, on the chip that this notebook rents.

    python3 infer.py --dev 0              # looks at a sample
    python3 infer.py --dev 0 --file X     # looks at a file of your own

The model is the one of Google's `magika`: 2,048 bytes of the file go in, a probability for each of 214 types comes out.
"""

import argparse
import json
import os
import stat
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

HERE = Path(__file__).parent
SAMPLE = HERE / "sample.txt"


def main() -> int:
    """Look at one file; return the exit status."""
    parser = argparse.ArgumentParser(description="Guess the type of a file.")
    parser.add_argument("--dev", type=int, default=0, help="number of the chip, from 0 (default: 0)")
    parser.add_argument("--file", type=Path, default=SAMPLE, help="the file to look at (default: a sample)")
    asked = parser.parse_args()

    problem = check_chip(asked.dev)
    if problem:
        print(problem, file=sys.stderr)
        return 1
    if not asked.file.is_file():
        print(f"There is no file {asked.file}.", file=sys.stderr)
        return 1

    config = json.loads((HERE / "model.json").read_text())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = max(1, len(os.sched_getaffinity(0)) // 2)
    started = time.perf_counter()
    session = onnxruntime.InferenceSession(HERE / "model.onnx", options, providers=["CPUExecutionProvider"])
    loaded = time.perf_counter()
    (scores,) = session.run(None, {session.get_inputs()[0].name: features(asked.file, config)})[0]
    done = time.perf_counter()

    print(f"model loaded in {1000 * (loaded - started):.0f} ms, inference took {1000 * (done - loaded):.1f} ms")
    for index in np.argsort(scores)[::-1][:3]:
        print(f"  {config['target_labels_space'][index]:<12} {100 * scores[index]:6.2f} %")
    print(f"answer: {asked.file.name} is {config['target_labels_space'][int(np.argmax(scores))]}")
    return 0


def check_chip(number: int) -> str:
    """Say which chip is used; return what is wrong, or nothing."""
    device = Path(f"/dev/bm-sophon{number}")
    if not device.exists() or not stat.S_ISCHR(device.stat().st_mode):
        here = sorted(path.name for path in Path("/dev").glob("bm-sophon[0-9]*"))
        return f"There is no chip {number} here: {device} is missing. Chips here: {', '.join(here) or 'none'}."
    simulated = os.environ.get("UTCLOUD_SIMULATED_CHIPS", "")
    if simulated:
        print(f"chip {number}: {device} (simulated {simulated}; the model runs on the CPU)")
    else:
        print(f"chip {number}: {device} (the model is not compiled for it and runs on the CPU)")
    return ""


def features(path: Path, config: dict) -> np.ndarray:
    """The first and the last bytes of the file without the white space around, as the model was trained on them."""
    content = path.read_bytes()
    block, padding = config["block_size"], config["padding_token"]
    first = list(content[:block].lstrip()[: config["beg_size"]])
    last = list(content[-block:].rstrip()[-config["end_size"] :])
    first += [padding] * (config["beg_size"] - len(first))
    last = [padding] * (config["end_size"] - len(last)) + last
    return np.array([first + last], dtype=np.int32)


if __name__ == "__main__":
    sys.exit(main())
