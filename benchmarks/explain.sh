#!/bin/sh
# What docs/explain.md tells of the pets: a run of examples/pets.yaml (there, the first of those that
# `compare.py --which pets --heal lengths` trains), 40 of its test images.
#   sh benchmarks/explain.sh RUN OUT
# Writes OUT/gradcam, OUT/hirescam, OUT/pyramid and OUT/integrated (every third image, which takes long), each with
# explain.html, explain.json and pictures/.
set -e
run=$1
out=$2
images() {
    python - "$run" "$1" <<'PYTHON'
import sys
from pathlib import Path
from oneglance.manifest import Manifest

manifest = Manifest.read(Path(sys.argv[1]) / "manifest.arrow")
rows = manifest.rows(split="test")
print(*manifest.select(rows[:: max(1, len(rows) // 40)][: 40 : int(sys.argv[2])]).values("path"), sep="\n")
PYTHON
}
all=$(images 1)
for method in gradcam hirescam; do
    oneglance explain "$run" $all --method $method --about outline=pet --out "$out/$method"
done
oneglance explain "$run" $all --method gradcam --at pyramid --about outline=pet --out "$out/pyramid"
oneglance explain "$run" $(images 3) --method integrated --no-check --about outline=pet --out "$out/integrated"
